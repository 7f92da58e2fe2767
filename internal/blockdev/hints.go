package blockdev

import (
	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// hinted is a device that takes hints on what comes next. They change no byte and
// promise nothing.
type hinted interface {
	WillNeed(e disk.Extent)
	WriteSoon(e disk.Extent)
}

// WillNeed says that e is read soon, so that a disk can begin with it while something
// else is done.
func WillNeed(dev Device, e disk.Extent) {
	if h, ok := dev.(hinted); ok {
		h.WillNeed(e)
	}
}

// WriteSoon says that what was written to e is flushed soon, so that a disk need not
// wait for the flush to begin with it.
func WriteSoon(dev any, e disk.Extent) {
	if h, ok := dev.(hinted); ok {
		h.WriteSoon(e)
	}
}

// WillNeed starts reading e into the page cache.
func (f *File) WillNeed(e disk.Extent) {
	if f.direct != nil {
		return // it would be read twice
	}
	_ = unix.Fadvise(f.Fd(), int64(e.Offset), int64(e.Size), unix.FADV_WILLNEED)
}

// WriteSoon starts writing the pages of e.
func (f *File) WriteSoon(e disk.Extent) {
	_ = unix.SyncFileRange(f.Fd(), int64(e.Offset), int64(e.Size), unix.SYNC_FILE_RANGE_WRITE)
}

// WillNeed passes the hint on.
func (s *Section) WillNeed(e disk.Extent) {
	WillNeed(s.Device, disk.Extent{Offset: e.Offset + s.extent.Offset, Size: e.Size})
}

// WriteSoon passes the hint on.
func (s *Section) WriteSoon(e disk.Extent) {
	WriteSoon(s.Device, disk.Extent{Offset: e.Offset + s.extent.Offset, Size: e.Size})
}
