package executor

import (
	"context"
	"errors"
	"io"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/luks2"
)

// Export writes the decrypted content of the LUKS2 volume in part to w, without
// device-mapper. A volume in conversion is refused: apply finishes it first.
func Export(ctx context.Context, env Env, part blockdev.Device, w io.Writer) error {
	header, err := luks2.Read(part, int64(part.Size()))
	if err != nil {
		return err
	}
	a, err := header.Activation(placeOf(part))
	if err != nil {
		return err
	}
	if a.Reencryption != nil {
		return errors.New("the volume is in conversion; finish it first")
	}
	if err := checkCiphers(a.Segments[0].Encryption); err != nil {
		return err
	}
	key, err := Unlock(ctx, env, header, part)
	env.forget()
	if err != nil {
		return err
	}
	defer key.Wipe()
	if _, err := a.Verify(ctx, nil, key.Bytes()); err != nil {
		return err
	}
	cipher, err := xts.Take(key)
	if err != nil {
		return err
	}
	defer cipher.Wipe()
	return decryptSegment(ctx, env, part, a.Segments[0], cipher, w)
}

// decryptSegment writes one encrypted segment in clear, a buffer at a time.
func decryptSegment(ctx context.Context, env Env, part blockdev.Device, s luks2.Segment, cipher *xts.Cipher, w io.Writer) error {
	size := disk.Bytes(s.Size)
	if s.Size < 0 {
		size = (part.Size() - disk.Bytes(s.Offset)).RoundDown(disk.Bytes(s.SectorSize))
	}
	buf := make([]byte, 4*disk.MiB)
	for done := disk.Bytes(0); done < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := buf[:min(disk.Bytes(len(buf)), size-done)]
		if err := readFull(part, p, disk.Bytes(s.Offset)+done); err != nil {
			return err
		}
		cipher.Decrypt(p, p, s.SectorSize, s.IVTweak+uint64(done)/512)
		if _, err := w.Write(p); err != nil {
			return err
		}
		done += disk.Bytes(len(p))
		env.report(Event{Phase: Progress, Action: "export", Done: done, Total: size})
	}
	return nil
}
