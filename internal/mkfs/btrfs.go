package mkfs

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// Where the superblock of a btrfs says which of its devices this is, and how large it
// is (btrfs on-disk format, struct btrfs_super_block, dev_item).
const (
	btrfsDeviceAt = 64<<10 + 201
	btrfsSizeAt   = btrfsDeviceAt + 8
)

// ShrinkBtrfs makes the btrfs on the block device at node size bytes large. The kernel
// does that, where it is mounted: here in a mount namespace that nobody else sees and
// that goes with us. It fails with the file system as it was where its content does not
// fit.
//
// The kernel moves what is in the way by transactions, and the size changes in the last
// of them. A power cut leaves the old size or the new one.
func ShrinkBtrfs(ctx context.Context, node string, size disk.Bytes) error {
	device, err := os.Open(node)
	if err != nil {
		return err
	}
	defer device.Close()
	id, now, err := btrfsDevice(device)
	if err != nil || now <= size {
		return err
	}
	return whileMounted(ctx, node, "btrfs", 0, func(root int) error { return resizeBtrfs(root, id, size) })
}

// btrfsDevice reads which device of its file system this is, and its size there.
func btrfsDevice(r io.ReaderAt) (id uint64, size disk.Bytes, err error) {
	var p [16]byte
	if _, err := r.ReadAt(p[:], btrfsDeviceAt); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint64(p[:]), disk.Bytes(binary.LittleEndian.Uint64(p[8:])), nil
}

// BtrfsSize returns how much of the device in r its btrfs takes.
func BtrfsSize(r io.ReaderAt) (disk.Bytes, error) {
	_, size, err := btrfsDevice(r)
	return size, err
}

// resizeBtrfs is the kernel's call (linux/btrfs.h, BTRFS_IOC_RESIZE).
func resizeBtrfs(fd int, id uint64, size disk.Bytes) error {
	const resize = 0x50009403
	var args struct {
		fd   int64
		name [4088]byte
	}
	copy(args.name[:], strconv.FormatUint(id, 10)+":"+strconv.FormatInt(int64(size), 10))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), resize, uintptr(unsafe.Pointer(&args)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSPC:
		return fmt.Errorf("its btrfs does not fit into %s: delete some files, or balance it first (%w)", size, errno)
	}
	return fmt.Errorf("resize its btrfs to %s: %w", size, errno)
}
