package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/luks2"
)

// minHeaderFile is what LUKS2 takes of a file of its own, in bytes.
const minHeaderFile = 16 * disk.MiB

// detached encrypts a partition whose header is a file, or goes on with that. The
// file is there, whole and durable, before anything is written to the partition.
func (c *conversion) detached(ctx context.Context, fresh *volume) error {
	file, err := resolve.Trusted(c.action.HeaderPath, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) && fresh != nil {
		return c.beginDetached(ctx, fresh)
	}
	if err != nil {
		return fmt.Errorf("header file: %w", err)
	}
	defer file.Close()
	if err := c.settle(ctx, file); err != nil {
		return err
	}
	if fresh != nil {
		if err := c.checkUntouched(fresh); err != nil {
			return fmt.Errorf("header file %s: %w", file.Name(), err)
		}
	}
	return c.resume(ctx)
}

// beginDetached makes the header file and converts. A power cut before the first
// hot zone leaves a plain file system, and no header file or one that says that all
// is plain.
func (c *conversion) beginDetached(ctx context.Context, v *volume) (err error) {
	if err := c.checkPlain(c.part); err != nil {
		return err
	}
	if v.header.DataOffset() != 0 {
		return fmt.Errorf("the header says that the data is at %d, and it is at 0", v.header.DataOffset())
	}
	if err := c.beginForward(v); err != nil {
		return err
	}
	size := max(minHeaderFile, c.action.Shift)
	if err := createHeader(c.action.HeaderPath, v.front.bytes, size); err != nil {
		return fmt.Errorf("header file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.takeBackHeader(v.header.UUID))
		}
	}()
	file, err := resolve.Trusted(c.action.HeaderPath, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("header file: %w", err)
	}
	defer file.Close()
	if err := c.settle(ctx, file); err != nil {
		return err
	}
	c.report(Committed, "header", 0)
	return c.convert(ctx, v.keys())
}

// takeBackHeader removes the header file that this run has made, unless it says that a zone
// was begun: then it is the only key to the partition. A power cut before it leaves a header that says that all is plain.
func (c *conversion) takeBackHeader(uuid string) error {
	file, err := resolve.Trusted(c.action.HeaderPath, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	header, err := luks2.Read(file, int64(minHeaderFile))
	if err != nil {
		return fmt.Errorf("header file %s: %w", file.Name(), err)
	}
	state, err := header.Reencryption(header.VolumeEnd(int64(c.part.Size())))
	if err != nil || state == nil || header.UUID != uuid || state.HotLength > 0 || state.Remaining != state.DataSize {
		return err
	}
	return resolve.Tree{Trusted: true}.Remove(c.action.HeaderPath)
}

// settle makes file the place of the header, and locks it with an image file.
func (c *conversion) settle(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("header file %s is no regular file", file.Name())
	}
	c.home, c.homeSize = file, disk.Bytes(info.Size())
	if !c.image {
		return nil
	}
	c.home = lockedFile{file}
	_, err = claim.HeaderFile(ctx, file, claim.Write) // closing the file gives it back
	return err
}

// lockedFile is a header file that is locked for as long as it is open. Where the data is
// in an image file nothing else keeps cryptsetup from it: see hold.
type lockedFile struct{ *os.File }

// checkUntouched decides whether a header file that is there already, while the
// partition looks plain, is ours from a run that was cut short: of the same volume,
// with nothing of its data converted. Any other file is not touched.
func (c *conversion) checkUntouched(fresh *volume) error {
	header, err := luks2.Read(c.home, int64(c.homeSize))
	if err != nil {
		return fmt.Errorf("it is in the way: %w", err)
	}
	if header.UUID != fresh.header.UUID {
		return fmt.Errorf("it is in the way: it is the header of another volume, %s", header.UUID)
	}
	c.header = header
	state, err := c.state()
	if err != nil {
		return fmt.Errorf("the partition holds a plain file system, but: %w", err)
	}
	if state.HotOffset > 0 || state.Remaining+state.HotLength != state.DataSize {
		return errors.New("it says that the volume is encrypted in part, and the partition begins with a plain file system")
	}
	return c.checkPlain(c.part)
}

// createHeader makes the file at path, which must not exist, with the given first
// bytes. A power cut leaves no file at path, or the whole one.
func createHeader(path string, image []byte, size disk.Bytes) error {
	return wholefile.Create(path, 0o600, func(file *os.File) error {
		if _, err := file.WriteAt(image, 0); err != nil {
			return err
		}
		return file.Truncate(int64(size))
	})
}
