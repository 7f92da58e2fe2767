package blockdev

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// directSize is from how many bytes on a transfer of a block device passes the page
// cache by: what is read once and written once would only push out of memory what
// others need. Less than that is metadata, which is read again and again.
const directSize = 64 * disk.KiB

// directAlignment is what the memory of such a transfer begins at a multiple of: enough
// for every device.
const directAlignment = 4096

// openDirect opens the block device a second time, for direct transfers; nil where the
// kernel does not let it, and then the page cache is used for everything. It takes no
// lock: that of f.file is for the device.
func (f *File) openDirect() *os.File {
	flags := os.O_RDONLY
	if f.write {
		flags = os.O_RDWR
	}
	direct, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return direct
}

// isDirect reports whether a transfer goes past the page cache. The kernel keeps both ways
// coherent: a direct one writes back what is dirty before it reads, and drops what is
// cached when it writes.
func (f *File) isDirect(p []byte, off int64) bool {
	unit := int64(max(f.sectorSize, 512))
	return f.direct != nil && disk.Bytes(len(p)) >= directSize && int64(len(p))%unit == 0 && off%unit == 0 &&
		uintptr(unsafe.Pointer(unsafe.SliceData(p)))%directAlignment == 0
}

// directly does a transfer through file: the direct one if that can, and else again
// through the page cache, as where a device wants another alignment.
func (f *File) directly(p []byte, off int64, do func(file *os.File) (int, error)) (int, error) {
	if f.isDirect(p, off) {
		if n, err := do(f.direct); !errors.Is(err, unix.EINVAL) {
			return n, err
		}
	}
	return do(f.file)
}
