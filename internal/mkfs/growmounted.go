package mkfs

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"golang.org/x/sys/unix"
)

// growers are the kernel's calls that make a mounted file system as large as its
// device, by kind.
var growers = map[string]func(root int, size disk.Bytes) error{
	"ext4": growExt4, "xfs": growXFS, "btrfs": growBtrfs,
}

// GrowMounted makes the file system of a kind on the block device at node as large as
// that. The kernel does it, where it is mounted, through the file system's own journal:
// a power cut leaves the old size, the new one, or one between them. It fails where
// the kind cannot grow, is damaged, or the kernel cannot mount it.
func GrowMounted(ctx context.Context, node, kind string) error {
	grow, ok := growers[kind]
	if !ok {
		return fmt.Errorf("a %s does not grow", kind)
	}
	size, err := sizeOfDevice(node)
	if err != nil {
		return err
	}
	return whileMounted(ctx, node, kind, 0, func(root int) error { return grow(root, size) })
}

func sizeOfDevice(node string) (disk.Bytes, error) {
	file, err := os.Open(node)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return blockdev.SizeOf(file)
}

// growExt4 grows an ext4 to so many of its blocks (EXT4_IOC_RESIZE_FS).
func growExt4(root int, size disk.Bytes) error {
	const resize = 0x40086610
	var fs unix.Statfs_t
	if err := unix.Fstatfs(root, &fs); err != nil {
		return err
	}
	blocks := uint64(size) / uint64(fs.Bsize)
	return ioctl(root, resize, unsafe.Pointer(&blocks), "resize its ext4")
}

// growXFS grows the data section of an xfs to so many of its blocks, and leaves what it
// may use for inodes as it is (XFS_IOC_FSGEOMETRY_V1, XFS_IOC_FSGROWFSDATA).
func growXFS(root int, size disk.Bytes) error {
	const geometry, grow = 0x80705864, 0x4010586e
	var is [112]byte
	if err := ioctl(root, geometry, unsafe.Pointer(&is[0]), "look at its xfs"); err != nil {
		return err
	}
	blockSize, inodePercent := binary.NativeEndian.Uint32(is[0:]), binary.NativeEndian.Uint32(is[28:])
	if blockSize == 0 {
		return fmt.Errorf("its xfs has blocks of 0 bytes")
	}
	wanted := struct {
		blocks       uint64
		inodePercent uint32
		_            uint32
	}{uint64(size) / uint64(blockSize), inodePercent, 0}
	return ioctl(root, grow, unsafe.Pointer(&wanted), "resize its xfs")
}

// growBtrfs grows the only device of a btrfs.
func growBtrfs(root int, size disk.Bytes) error { return resizeBtrfs(root, 1, size) }

// ioctl calls the kernel about an open file.
func ioctl(fd int, request uintptr, p unsafe.Pointer, what string) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(p)); errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}
