package blockdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// OpenOptions says what a file or block device is opened for.
type OpenOptions struct {
	// Write opens for reading and writing, under an exclusive lock. Without it the
	// kernel itself refuses every write, and the lock is shared.
	Write bool
}

// File is an image file or a block device. ReadAt, WriteAt, Sync and Discard may
// be called from several goroutines at once; Grow and Close may not.
type File struct {
	file       *os.File
	direct     *os.File // a block device once more, past the page cache; else nil
	disk       *os.File // the whole disk of a partition, open only for its lock; else nil
	size       disk.Bytes
	sectorSize disk.Bytes
	block      bool
	write      bool
	windows    *windows // of a file that lies in memory, else nil
}

var _ Device = (*File)(nil)

// Open opens the image file or block device at path and locks the whole disk it
// belongs to with flock(2): udev, systemd-repart and sfdisk look for that lock and
// stay away while it is held. Anything that is not a disk (a directory, a FIFO, a
// character device) is refused, and so is a path that leads over links of other people's
// (resolve.UntrustedError): they would choose the disk. Close gives the lock back.
func Open(path string, o OpenOptions) (*File, error) {
	tree := resolve.Tree{NoForeignLinks: true}
	if info, err := tree.Stat(path); err != nil {
		return nil, err
	} else if err := refuse(path, info); err != nil {
		return nil, err // before the open: that of a FIFO would wait for its other end
	}
	flags := os.O_RDONLY
	if o.Write {
		flags = os.O_RDWR
	}
	file, err := tree.Open(path, flags)
	if err != nil {
		return nil, err
	}
	f := &File{file: file, write: o.Write}
	if err := f.prepare(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// refuse tells what keeps the file at path from being a disk.
func refuse(path string, info os.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.Type() == os.ModeDevice:
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s is a directory, not an image file or block device", path)
	case mode.Type()&os.ModeCharDevice != 0:
		return fmt.Errorf("%s is a character device, not an image file or block device", path)
	case mode.Type()&os.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a FIFO, not an image file or block device", path)
	default:
		return fmt.Errorf("%s is not an image file or block device (%s)", path, mode.Type())
	}
}

// prepare checks what was really opened, locks it and learns its geometry. The
// size is taken under the lock: another program may be growing the image.
func (f *File) prepare() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if err := refuse(f.Name(), info); err != nil {
		return err
	}
	f.block = info.Mode().Type() == os.ModeDevice
	if err := f.lock(); err != nil {
		return err
	}
	if f.size, err = SizeOf(f.file); err != nil {
		return err
	}
	if f.block {
		if f.sectorSize, err = logicalBlockSize(f.file); err != nil {
			return err
		}
		if err := f.checkWritable(); err != nil {
			return err
		}
		f.direct = f.openDirect()
	}
	f.windows = newWindows(f)
	return err
}

// checkWritable refuses to write to a device that the kernel lets one open for that, and
// then refuses every write.
func (f *File) checkWritable() error {
	if !f.write {
		return nil
	}
	if readOnly, err := unix.IoctlGetInt(f.Fd(), unix.BLKROGET); err != nil || readOnly == 0 {
		return err
	}
	return fmt.Errorf("%s is read-only: look for a write-protect switch, or at \"blockdev --getro\"", f.Name())
}

// Name returns the path that the file was opened by.
func (f *File) Name() string { return f.file.Name() }

// Size returns the size in bytes, as it was when the file was opened or last grown.
func (f *File) Size() disk.Bytes { return f.size }

// SectorSize returns the logical block size of a block device, 0 for a file.
func (f *File) SectorSize() disk.Bytes { return f.sectorSize }

// IsBlockDevice tells a block device from an image file.
func (f *File) IsBlockDevice() bool { return f.block }

// Fd returns the file descriptor, for ioctls; it stays owned by f.
func (f *File) Fd() int { return int(f.file.Fd()) }

// ReadAt fills p or fails: with io.EOF where p reaches beyond Size, like any
// io.ReaderAt, and with io.ErrUnexpectedEOF where the file became shorter than it
// was when it was opened.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.directly(p, off, func(file *os.File) (int, error) { return file.ReadAt(p, off) })
	if errors.Is(err, io.EOF) && disk.Bytes(off)+disk.Bytes(n) < f.size {
		err = fmt.Errorf("%s ends at byte %d, and was %d bytes long when it was opened: %w", f.Name(), off+int64(n), f.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// WriteAt writes all of p or fails. It never makes the file longer.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || disk.Bytes(off) > f.size-disk.Bytes(len(p)) {
		return 0, fmt.Errorf("%s: write of %d bytes at %d is beyond its end at %d", f.Name(), len(p), off, f.size)
	}
	n, err := f.directly(p, off, func(file *os.File) (int, error) { return file.WriteAt(p, off) })
	if err == nil && n < len(p) {
		err = fmt.Errorf("%s: wrote %d of %d bytes at %d: %w", f.Name(), n, len(p), off, io.ErrShortWrite)
	}
	return n, err
}

// Sync makes all writes that returned before durable (fdatasync(2), which also
// flushes a block device's cache). After it has failed, what is on the disk is
// unknown: the kernel may have dropped the writes, and a second Sync may succeed.
func (f *File) Sync() error {
	for {
		err := unix.Fdatasync(f.Fd())
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Grow makes an image file larger, with a hole at its end; the new size is durable
// when it returns. A power cut leaves the old size or the new one. It makes no file
// smaller, and a block device cannot grow.
func (f *File) Grow(size disk.Bytes) error {
	switch {
	case f.block:
		return fmt.Errorf("%s is a block device and cannot grow", f.Name())
	case size < f.size:
		return fmt.Errorf("%s has %d bytes and is never cut to %d", f.Name(), f.size, size)
	case size == f.size:
		return nil
	}
	if err := f.file.Truncate(int64(size)); err != nil {
		return err
	}
	f.size = size
	return f.file.Sync() // not fdatasync: the size is all that changed
}

// CutBack takes a Grow back, with what was written behind size. A power cut leaves the one size or
// the other.
func (f *File) CutBack(size disk.Bytes) error {
	if f.block || size > f.size {
		return fmt.Errorf("%s has %d bytes and cannot be cut back to %d", f.Name(), f.size, size)
	}
	if err := f.file.Truncate(int64(size)); err != nil {
		return err
	}
	f.size = size
	return f.file.Sync()
}

// Close gives the lock back and closes the file. It does not sync. For a disk that was
// open for writing it waits until udev has looked at it, for 10 s at most.
func (f *File) Close() error { return f.CloseUntil(context.Background()) }

// CloseUntil is Close that does not wait for udev any longer once ctx is done. Then udev may
// still have the kernel read the partition table again, and partitions go and come back.
func (f *File) CloseUntil(ctx context.Context) error {
	if f.windows != nil {
		f.windows.close()
	}
	keeper := f.keep()
	err := f.file.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	if keeper != nil {
		awaitUdev(ctx)
		err = errors.Join(err, keeper.Close())
	}
	if f.disk != nil {
		err = errors.Join(err, f.disk.Close())
	}
	return err
}
