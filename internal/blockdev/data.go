package blockdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// sparse is a device that knows where it has holes, which read as zero.
type sparse interface {
	NextData(from disk.Bytes) disk.Bytes
}

// NextData returns the first place at or behind from where dev may hold anything but zeros:
// from itself where dev does not know, its size where there is none.
func NextData(dev Device, from disk.Bytes) disk.Bytes {
	if s, ok := dev.(sparse); ok {
		return s.NextData(from)
	}
	return from
}

// NextData asks the file system of an image file (lseek(2), SEEK_DATA). Block devices do
// not know.
func (f *File) NextData(from disk.Bytes) disk.Bytes {
	if f.block {
		return from
	}
	at, err := unix.Seek(f.Fd(), int64(from), unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return f.size
	case err != nil:
		return from
	}
	return disk.Bytes(at)
}

// NextData asks the device below.
func (s *Section) NextData(from disk.Bytes) disk.Bytes {
	return min(NextData(s.Device, from+s.extent.Offset)-s.extent.Offset, s.extent.Size)
}

// nonZeroStep is how much NonZero reads at once, and nonZeroUnit the unit of what it finds.
const (
	nonZeroStep = disk.MiB
	nonZeroUnit = 4096
)

// NonZero calls found for the runs of e that do not read as zero, in order, in whole units of
// 4096 bytes of dev, as far as they are in e. It passes over holes, and ends with the first
// error of found, or when ctx is done.
func NonZero(ctx context.Context, dev Device, e disk.Extent, found func(disk.Extent) error) error {
	buf := make([]byte, min(e.Size, nonZeroStep))
	for at := e.Offset; at < e.End(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at += (NextData(dev, at) - at).RoundDown(nonZeroUnit); at >= e.End() {
			return nil
		}
		piece := buf[:min(nonZeroStep-at%nonZeroStep, e.End()-at)]
		if n, err := dev.ReadAt(piece, int64(at)); n < len(piece) {
			return fmt.Errorf("%s: read %d of %d bytes at %d: %w", dev.Name(), n, len(piece), at, err)
		}
		if err := runsIn(piece, at, found); err != nil {
			return err
		}
		at += disk.Bytes(len(piece))
	}
	return nil
}

// NonBlank returns where the first sector of 512 bytes of e begins that is not blank, -1 where
// all are: all zeros, or all ones, as erased flash reads. It passes over holes.
func NonBlank(dev Device, e disk.Extent) (disk.Bytes, error) {
	at, errFound := disk.Bytes(-1), errors.New("found")
	err := NonZero(context.Background(), dev, e, func(run disk.Extent) error {
		var err error
		if at, err = nonBlankIn(dev, run); err == nil && at >= 0 {
			err = errFound
		}
		return err
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return at, err
}

// nonBlankIn is NonBlank for a run of units of which none is all zeros.
func nonBlankIn(dev Device, run disk.Extent) (disk.Bytes, error) {
	const sector = 512
	unit := make([]byte, nonZeroUnit)
	for at := run.Offset; at < run.End(); {
		p := unit[:min(nonZeroUnit-at%nonZeroUnit, run.End()-at)]
		if n, err := dev.ReadAt(p, int64(at)); n < len(p) {
			return -1, fmt.Errorf("%s: read %d bytes at %d: %w", dev.Name(), len(p), at, err)
		}
		for s := range slices.Chunk(p, sector) {
			if !isZero(s) && len(bytes.TrimLeft(s, "\xff")) > 0 {
				return at, nil
			}
			at += disk.Bytes(len(s))
		}
	}
	return -1, nil
}

// runsIn is NonZero for bytes that were read at at.
func runsIn(p []byte, at disk.Bytes, found func(disk.Extent) error) error {
	var run disk.Extent
	for len(p) > 0 {
		unit := p[:min(nonZeroUnit-at%nonZeroUnit, disk.Bytes(len(p)))]
		p = p[len(unit):]
		if isZero(unit) {
			if err := end(&run, found); err != nil {
				return err
			}
		} else if run.Size == 0 {
			run = disk.Extent{Offset: at, Size: disk.Bytes(len(unit))}
		} else {
			run.Size += disk.Bytes(len(unit))
		}
		at += disk.Bytes(len(unit))
	}
	return end(&run, found)
}

// end passes a run on, if there is one, and begins anew.
func end(run *disk.Extent, found func(disk.Extent) error) error {
	ended := *run
	*run = disk.Extent{}
	if ended.Size == 0 {
		return nil
	}
	return found(ended)
}

var zeroUnit [nonZeroUnit]byte

// isZero reports whether at most 4096 bytes are all zero.
func isZero(p []byte) bool { return bytes.Equal(p, zeroUnit[:len(p)]) }
