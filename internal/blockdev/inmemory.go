package blockdev

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// inMemory is a device whose bytes can be had where they are, without copying them.
type inMemory interface {
	InMemory(e disk.Extent, use func(p []byte)) (bool, error)
}

// InMemory lets use work on the bytes of e where the device keeps them, if it keeps
// them in memory; else it returns false, and they are to be read and written. What use
// changes is written, as by WriteAt. Use may be called in part before an error.
func InMemory(dev any, e disk.Extent, use func(p []byte)) (bool, error) {
	if m, ok := dev.(inMemory); ok {
		return m.InMemory(e, use)
	}
	return false, nil
}

// InMemory passes on what lies inside of the part.
func (s *Section) InMemory(e disk.Extent, use func(p []byte)) (bool, error) {
	if s.check(e) != nil {
		return false, nil // to read or write it is an error, with its own words
	}
	return InMemory(s.Device, disk.Extent{Offset: e.Offset + s.extent.Offset, Size: e.Size}, use)
}

// InMemory maps files of a tmpfs. Copying them in and out takes most of the time of
// whatever is done with them, and writes to one file wait for each other.
func (f *File) InMemory(e disk.Extent, use func(p []byte)) (bool, error) {
	if f.windows == nil || e.Offset < 0 || e.Offset > f.size-e.Size {
		return false, nil
	}
	w := f.windows.get(e)
	if w == nil {
		return false, nil
	}
	defer f.windows.put(w)
	at := e.Offset - w.start
	if err := touch(func() { use(w.bytes[at : at+e.Size : at+e.Size]) }); err != nil {
		return true, fmt.Errorf("%s: bytes %d to %d: %w", f.Name(), e.Offset, e.End(), err)
	}
	return true, nil
}

// touch calls use, and returns an error where memory behind a file cannot be had: the
// file became shorter, or its file system is full. The kernel's signal for that, which
// would end the program, becomes a panic here, and that an error.
func touch(use func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = fmt.Errorf("the file became shorter, or its file system has no memory left (%w)", unix.EIO)
		default:
			panic(r)
		}
	}()
	use()
	return nil
}

const (
	// windowSize is how much of a file is mapped at once: much, because to unmap costs
	// a wake-up of every core, and what lies in two windows is copied. The windows begin
	// at its multiples, so that all that work on a file share them.
	windowSize = 8 * disk.MiB
	// maxWindows bounds how many are kept, and with them what counts as this
	// program's memory: those of source and target of the hot zone of a shift.
	maxWindows = 8
)

// window is a mapped part of a file.
type window struct {
	start disk.Bytes
	bytes []byte
	users int
}

// windows maps parts of a file, and keeps those used last: a page is found for the
// first time at some cost, and what was a source becomes a target next.
type windows struct {
	fd       int
	size     func() disk.Bytes
	writable bool
	mu       sync.Mutex
	kept     []*window // used last at the end
}

// newWindows returns the windows of a file in memory, nil for any other: only there
// can nothing but the want of memory make an access fail.
func newWindows(f *File) *windows {
	var fs unix.Statfs_t
	if f.block || unix.Fstatfs(f.Fd(), &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return nil
	}
	return &windows{fd: f.Fd(), size: f.Size, writable: f.write}
}

// get returns the window that e lies in, for put to give back; nil where it lies in
// more than one, or cannot be mapped.
func (w *windows) get(e disk.Extent) *window {
	start := e.Offset.RoundDown(windowSize)
	if e.Size <= 0 || e.End() > start+windowSize {
		return nil
	}
	found, old := w.find(start, e.End())
	if old != nil {
		_ = unix.Munmap(old) // it fails for what is no mapping, and this is one
	}
	return found
}

// find returns the window at start, if it reaches to end, and the memory of the one
// that it takes the place of, to be unmapped while others go on.
func (w *windows) find(start, end disk.Bytes) (found *window, old []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.kept, func(k *window) bool { return k.start == start && end <= start+disk.Bytes(len(k.bytes)) })
	if i < 0 {
		mapped := w.open(start)
		if mapped == nil {
			return nil, nil
		}
		old = w.forget()
		w.kept, i = append(w.kept, mapped), len(w.kept)
	}
	found = w.kept[i]
	found.users++
	w.kept = append(slices.Delete(w.kept, i, i+1), found)
	return found, old
}

// open maps the window at start, nil where the system does not let it.
func (w *windows) open(start disk.Bytes) *window {
	protection := unix.PROT_READ
	if w.writable {
		protection |= unix.PROT_WRITE
	}
	bytes, err := unix.Mmap(w.fd, int64(start), int(min(windowSize, w.size()-start)), protection, unix.MAP_SHARED)
	if err != nil {
		return nil // its bytes can be read and written instead
	}
	return &window{start: start, bytes: bytes}
}

// forget drops the window that was not used for the longest time, where there are
// enough, and returns its memory.
func (w *windows) forget() []byte {
	if len(w.kept) < maxWindows {
		return nil
	}
	i := slices.IndexFunc(w.kept, func(k *window) bool { return k.users == 0 })
	if i < 0 {
		return nil
	}
	old := w.kept[i].bytes
	w.kept = slices.Delete(w.kept, i, i+1)
	return old
}

// put gives a window back.
func (w *windows) put(used *window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	used.users--
}

// close unmaps all. Nobody may use any.
func (w *windows) close() {
	for _, k := range w.kept {
		_ = unix.Munmap(k.bytes)
	}
	w.kept = nil
}
