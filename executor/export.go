package executor

import (
	"context"
	"errors"
	"io"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/luks2"
)

// Export writes the decrypted content of the LUKS2 volume in part to w, without
// device-mapper. A volume in conversion is refused: apply finishes it first. Where another
// program began one meanwhile, what was written is worth nothing, and Export fails.
func Export(ctx context.Context, env Env, part blockdev.Device, w io.Writer) error {
	header, err := readLocked(ctx, part)
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
	if err := decryptSegment(ctx, env, part, a.Segments[0], cipher, w); err != nil {
		return err
	}
	return checkKept(ctx, header, part)
}

// checkKept refuses what was read of a volume whose data is another by now, or is being
// made another. That its keys have changed does not matter.
func checkKept(ctx context.Context, header *luks2.Header, part blockdev.Device) error {
	now, err := readLocked(ctx, part)
	if err == nil {
		err = errors.Join(converted(now), header.SameData(now))
	}
	if err != nil {
		return &headerError{"the volume was rewritten by another program while it was read: " + err.Error(), "what was read is of no use; export again when that has finished"}
	}
	return nil
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
