package mkfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// unit is what the overlay keeps or does not keep: smaller than a block of most file
// systems, and what the superblock lies in.
const unit = 4096

// overlay is a file system in which nothing was written yet: what programs write goes
// into memory, the rest is read from below. Programs open path, a file of the right
// length in which only the written units are; their reads are answered by a
// supervisor (see supervisor.go).
type overlay struct {
	below io.ReaderAt // the file system, from its first byte
	size  int64       // its window, in bytes
	file  *os.File    // written units, at their places
	kept  map[int64]bool
	*supervisor
}

// newOverlay lays memory over a window of size bytes.
func newOverlay(below io.ReaderAt, size int64) (*overlay, error) {
	fd, err := unix.MemfdCreate("sealpart", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for what a resize writes: %w", err)
	}
	o := &overlay{below: below, size: size, file: os.NewFile(uintptr(fd), "overlay"), kept: map[int64]bool{}}
	if err := o.file.Truncate(size); err != nil {
		return nil, errors.Join(err, o.file.Close())
	}
	// The superblock's unit is kept from the start: the e2fsprogs write bytes of it
	// by a system call that is not watched.
	if err := o.keep(0, 1); err != nil {
		return nil, errors.Join(err, o.file.Close())
	}
	return o, nil
}

func (o *overlay) close() error { return o.file.Close() }

// ReadAt reads what was written, else what lies below.
func (o *overlay) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= o.size {
		return 0, io.EOF
	}
	want := min(len(p), int(min(o.size-off, int64(len(p)))))
	for n < want {
		end, kept := o.run(off+int64(n), off+int64(want))
		from := o.below
		if kept {
			from = o.file
		}
		part := p[n : end-off]
		if got, err := from.ReadAt(part, off+int64(n)); got < len(part) {
			return n, cmpError(err)
		}
		n = int(end - off)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// cmpError is the error of a read that was too short.
func cmpError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// run returns how far from off, at most to end, units are all kept or all not.
func (o *overlay) run(off, end int64) (int64, bool) {
	kept := o.kept[off/unit]
	at := off - off%unit + unit
	for at < end && o.kept[at/unit] == kept {
		at += unit
	}
	return min(at, end), kept
}

// keep makes all units that the n bytes at off touch kept ones, with the bytes from
// below in those that the caller will not fill.
func (o *overlay) keep(off, n int64) error {
	if off < 0 || n < 0 || off > o.size-n {
		return fmt.Errorf("a write of %d bytes at %d is beyond the %d of the file system's place", n, off, o.size)
	}
	for at := off - off%unit; at < off+n; at += unit {
		if o.kept[at/unit] {
			continue
		}
		if at < off || at+unit > off+n {
			p := make([]byte, min(unit, o.size-at))
			if got, err := o.below.ReadAt(p, at); got < len(p) {
				return cmpError(err)
			}
			if _, err := o.file.WriteAt(p, at); err != nil {
				return err
			}
		}
		o.kept[at/unit] = true
	}
	return nil
}

// written returns the blocks, ascending, that are in kept units, of those that end
// before limit. It fails where something was written past the supervisor.
func (o *overlay) written(blockSize, limit int64) (blocks []int64, err error) {
	if err := o.refuseStrays(); err != nil {
		return nil, err
	}
	next := int64(0) // blocks may be larger than units
	for _, u := range slices.Sorted(maps.Keys(o.kept)) {
		for b := max(next, u*unit/blockSize); b*blockSize < (u+1)*unit && (b+1)*blockSize <= limit; b++ {
			blocks, next = append(blocks, b), b+1
		}
	}
	return blocks, nil
}

// differs compares the overlay with what lies below.
func (o *overlay) differs(off, n int64) (bool, error) {
	p := make([]byte, 2*n)
	if got, err := o.ReadAt(p[:n], off); got < int(n) {
		return false, cmpError(err)
	}
	if got, err := o.below.ReadAt(p[n:], off); got < int(n) {
		return false, cmpError(err)
	}
	return !bytes.Equal(p[:n], p[n:]), nil
}

// refuseStrays looks for bytes in units that nobody asked to write.
func (o *overlay) refuseStrays() error {
	p := make([]byte, unit)
	for at := int64(0); ; {
		start, err := unix.Seek(int(o.file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		} else if err != nil {
			return err
		}
		if at, err = unix.Seek(int(o.file.Fd()), start, unix.SEEK_HOLE); err != nil {
			return err
		}
		for u := start / unit; u*unit < at; u++ {
			n, err := o.file.ReadAt(p, u*unit)
			if err != nil && err != io.EOF {
				return err
			}
			if !o.kept[u] && !bytes.Equal(p[:n], make([]byte, n)) {
				return fmt.Errorf("the resize wrote at %d by a system call that is not known here; nothing was changed", u*unit)
			}
		}
	}
}
