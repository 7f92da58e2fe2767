package executor

import (
	"fmt"
	"io"
)

// front is the beginning of a LUKS2 volume in memory: both header copies and the
// keyslots, as far as they are used. It serves as a luks2.Device.
type front struct{ bytes []byte }

// maxFront bounds what a header and its keyslots may take in memory.
const maxFront = 32 << 20

// ReadAt reads what was written, and zeroes behind it.
func (f *front) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > maxFront {
		return 0, io.EOF
	}
	clear(p)
	if off < int64(len(f.bytes)) {
		copy(p, f.bytes[off:])
	}
	return len(p), nil
}

// WriteAt writes, and grows the front as needed.
func (f *front) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if off < 0 || end > maxFront {
		return 0, fmt.Errorf("header and keyslots need %d bytes, more than %d", end, maxFront)
	}
	if end > int64(len(f.bytes)) {
		f.bytes = append(f.bytes, make([]byte, end-int64(len(f.bytes)))...)
	}
	return copy(f.bytes[off:], p), nil
}

// Sync does nothing: the front is memory.
func (f *front) Sync() error { return nil }
