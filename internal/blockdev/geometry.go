package blockdev

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// SizeOf returns the size of an open image file or block device.
func SizeOf(file *os.File) (disk.Bytes, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Mode().Type() != os.ModeDevice {
		return disk.Bytes(info.Size()), nil
	}
	var size uint64 // x/sys has no call that reads 64 bits on every architecture
	if err := ioctl(file, unix.BLKGETSIZE64, unsafe.Pointer(&size)); err != nil {
		return 0, fmt.Errorf("size of %s: %w", file.Name(), err)
	}
	return disk.Bytes(size), nil
}

// logicalBlockSize returns the sector size that a block device addresses by.
func logicalBlockSize(file *os.File) (disk.Bytes, error) {
	n, err := unix.IoctlGetUint32(int(file.Fd()), unix.BLKSSZGET)
	if err != nil {
		return 0, fmt.Errorf("sector size of %s: %w", file.Name(), err)
	}
	return disk.Bytes(n), nil
}

// PhysicalSectorSize returns what a block device says it writes whole or not at all,
// in bytes; 0 for an image file, and where the device does not tell.
func (f *File) PhysicalSectorSize() disk.Bytes {
	if !f.block {
		return 0
	}
	n, err := unix.IoctlGetUint32(int(f.file.Fd()), unix.BLKPBSZGET)
	if err != nil {
		return 0
	}
	return disk.Bytes(n)
}

// Discard drops what lies in e: BLKDISCARD on a block device, for the sectors that
// are wholly inside, or nothing where the device cannot do it; a hole in an image
// file, or zeroes where its file system has no holes. A power cut leaves any part
// of e dropped.
func (f *File) Discard(e disk.Extent) error {
	if e.Offset < 0 || e.Size < 0 || e.Offset > f.size-e.Size {
		return fmt.Errorf("%s: discard of %d bytes at %d is beyond its end at %d", f.Name(), e.Size, e.Offset, f.size)
	}
	if e.Size == 0 {
		return nil // the kernel calls an empty hole invalid
	}
	err := f.discard(e)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%s: discard %d bytes at %d: %w", f.Name(), e.Size, e.Offset, err)
	}
	return nil
}

// discard drops e by the means of the kind of device.
func (f *File) discard(e disk.Extent) error {
	if !f.block {
		err := unix.Fallocate(f.Fd(), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(e.Offset), int64(e.Size))
		if errors.Is(err, unix.EOPNOTSUPP) {
			return WriteZeroes(f, e)
		}
		return err
	}
	from, to := e.Offset.RoundUp(f.sectorSize), e.End().RoundDown(f.sectorSize)
	if from >= to {
		return nil
	}
	extent := [2]uint64{uint64(from), uint64(to - from)}
	return ioctl(f.file, unix.BLKDISCARD, unsafe.Pointer(&extent))
}

// ioctl calls ioctl(2) with a pointer argument.
func ioctl(file *os.File, request uintptr, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(argument))
	if errno != 0 {
		return errno
	}
	return nil
}

// Zero makes e read as zero by the cheapest means there is: a hole in an image file,
// BLKZEROOUT on a block device, which unmaps where the device promises zeroes for
// that and writes them elsewhere. A power cut leaves any part of e zeroed.
func (f *File) Zero(e disk.Extent) error {
	if !f.block {
		return f.Discard(e)
	}
	extent := [2]uint64{uint64(e.Offset), uint64(e.Size)}
	if err := ioctl(f.file, unix.BLKZEROOUT, unsafe.Pointer(&extent)); err != nil {
		return WriteZeroes(f, e) // not whole sectors, or a driver without it
	}
	return nil
}

// ZeroesDiscarded reports whether what was discarded reads as zero: so it is in an
// image file, where a hole is made; a block device may return anything.
func (f *File) ZeroesDiscarded() bool { return !f.block }
