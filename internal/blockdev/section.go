package blockdev

import (
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
)

// Section is a part of a device, such as a partition. Writes outside are refused,
// so code that works on a partition cannot touch its neighbours.
type Section struct {
	Device
	extent disk.Extent
}

// NewSection returns the part e of dev; it fails where e is not inside dev.
func NewSection(dev Device, e disk.Extent) (*Section, error) {
	if e.Offset < 0 || e.Size < 0 || e.Offset > dev.Size()-e.Size {
		return nil, fmt.Errorf("%s: bytes %d to %d are not on the device (%d bytes)", dev.Name(), e.Offset, e.End(), dev.Size())
	}
	return &Section{Device: dev, extent: e}, nil
}

// Extent returns where it lies on its device.
func (s *Section) Extent() disk.Extent { return s.extent }

// Forget has what is read next come from the device, and not from what is cached of the whole
// disk: who writes to a partition by its own node writes past that.
func (s *Section) Forget() error {
	if dev, ok := s.Device.(interface{ Forget() error }); ok {
		return dev.Forget()
	}
	return nil
}

// Size returns the size of the part.
func (s *Section) Size() disk.Bytes { return s.extent.Size }

// ReadAt reads inside the part; at its end it returns io.EOF like any io.ReaderAt.
func (s *Section) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || disk.Bytes(off) >= s.extent.Size {
		return 0, io.EOF
	}
	if rest := int64(s.extent.Size) - off; int64(len(p)) > rest {
		n, err := s.Device.ReadAt(p[:rest], off+int64(s.extent.Offset))
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return s.Device.ReadAt(p, off+int64(s.extent.Offset))
}

// WriteAt writes inside the part and refuses what would reach outside.
func (s *Section) WriteAt(p []byte, off int64) (int, error) {
	if err := s.check(disk.Extent{Offset: disk.Bytes(off), Size: disk.Bytes(len(p))}); err != nil {
		return 0, err
	}
	return s.Device.WriteAt(p, off+int64(s.extent.Offset))
}

// Discard drops e, counted from the start of the part.
func (s *Section) Discard(e disk.Extent) error {
	if err := s.check(e); err != nil {
		return err
	}
	return s.Device.Discard(disk.Extent{Offset: e.Offset + s.extent.Offset, Size: e.Size})
}

// Zero makes e, counted from the start of the part, read as zero.
func (s *Section) Zero(e disk.Extent) error {
	if err := s.check(e); err != nil {
		return err
	}
	return Zero(s.Device, disk.Extent{Offset: e.Offset + s.extent.Offset, Size: e.Size})
}

// Number returns the number of the block device that the part is to the kernel, "8:2"; ""
// for a part of an image file, or of something that is only in memory.
func (s *Section) Number() (string, error) {
	if dev, ok := s.Device.(interface {
		NumberOf(disk.Extent) (string, error)
	}); ok {
		return dev.NumberOf(s.extent)
	}
	return "", nil
}

// zeroer is a device that has means of its own to make bytes read as zero.
type zeroer interface{ Zero(e disk.Extent) error }

// Zero makes e of dev read as zero. A power cut leaves any part of it zeroed.
func Zero(dev Device, e disk.Extent) error {
	if z, ok := dev.(zeroer); ok {
		return z.Zero(e)
	}
	return WriteZeroes(dev, e)
}

// WriteZeroes overwrites e with zeroes, a piece at a time. A power cut leaves any part
// of it zeroed.
func WriteZeroes(w io.WriterAt, e disk.Extent) error {
	zeroes := make([]byte, max(min(e.Size, 256*disk.KiB), 0))
	for at := e.Offset; at < e.End(); at += disk.Bytes(len(zeroes)) {
		if _, err := w.WriteAt(zeroes[:min(disk.Bytes(len(zeroes)), e.End()-at)], int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// check refuses an extent that is not wholly inside the part.
func (s *Section) check(e disk.Extent) error {
	if e.Offset < 0 || e.Size < 0 || e.Offset > s.extent.Size-e.Size {
		return fmt.Errorf("%s: write of %d bytes at %d is outside its %d bytes at %d", s.Name(), e.Size, e.Offset, s.extent.Size, s.extent.Offset)
	}
	return nil
}
