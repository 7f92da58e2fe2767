package mkfs

import (
	"fmt"
	"io"
	"os"
)

// place is an open Window.
type place struct {
	*io.SectionReader
	file         *os.File
	offset, size int64
}

// open opens the window. It takes no lock: the caller has the disk's.
func (w Window) open(flags int) (*place, error) {
	file, err := os.OpenFile(w.Path, flags, 0)
	if err != nil {
		return nil, err
	}
	at, n := int64(w.Offset), int64(w.Size)
	return &place{SectionReader: io.NewSectionReader(file, at, n), file: file, offset: at, size: n}, nil
}

// WriteAt writes inside the window.
func (p *place) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || off > p.size-int64(len(b)) {
		return 0, fmt.Errorf("a write of %d bytes at %d is outside the file system's place of %d", len(b), off, p.size)
	}
	return p.file.WriteAt(b, p.offset+off)
}

// Sync makes what was written durable.
func (p *place) Sync() error { return p.file.Sync() }

func (p *place) Close() error { return p.file.Close() }
