package mkfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// whileMounted mounts the file system on node and calls do with its open root
// directory, with mount(2)'s flags. Nobody else sees the mount, and it goes with this process.
//
// The kernel believes what it mounts, and the superblock of an ext may have it panic at the
// first error: so that is checked before, and an error makes it read-only. An xfs or btrfs
// cannot ask for a panic, and their checkers take time and memory that a boot does not have.
func whileMounted(ctx context.Context, node, kind string, flags uintptr, do func(root int) error) error {
	if strings.HasPrefix(kind, "ext") {
		if err := checkDevice(ctx, node, flags&unix.MS_RDONLY != 0); err != nil {
			return fmt.Errorf("check the %s before it is mounted: %w", kind, err)
		}
	}
	temp, err := resolve.Temp("")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(temp, "sealpart-*.mount")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	// A thread that has a mount namespace of its own is not used for anything else.
	if err := onSpentThread(func() error { return mountPrivately(node, kind, dir, flags, do) }); err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}
	return nil
}

// InMounted mounts the file system of a kind on node, and calls do with its directory dir,
// as long as do runs. It is not interrupted. Links in the file system do not lead out of it.
func InMounted(node, kind, dir string, readOnly bool, do func(dir *os.File) error) error {
	flags := uintptr(0)
	if readOnly {
		flags = unix.MS_RDONLY
	}
	return whileMounted(context.Background(), node, kind, flags, func(root int) error {
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(root, dir, &how)
		if err != nil {
			return &os.PathError{Op: "open", Path: dir, Err: err}
		}
		file := os.NewFile(uintptr(fd), dir)
		defer file.Close()
		return do(file)
	})
}

// checkDevice checks an ext on the block device at node, and mends it where that is not
// only looked at.
func checkDevice(ctx context.Context, node string, readOnly bool) error {
	size, err := sizeOfDevice(node)
	if err != nil {
		return err
	}
	if readOnly {
		return TryCheckExt(ctx, Window{Path: node, Size: size})
	}
	return CheckExt(ctx, Window{Path: node, Size: size})
}

// optionsFor returns mount options, which overrule what the superblock says.
func optionsFor(kind string) string {
	if strings.HasPrefix(kind, "ext") {
		return "errors=remount-ro"
	}
	return ""
}

// mountPrivately mounts node at dir, for the calling thread alone.
func mountPrivately(node, kind, dir string, flags uintptr, do func(root int) error) (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("keep mounts to ourselves: the root here is no mount point, as in a plain chroot (mount --bind ROOT ROOT before the chroot makes it one): %w", err)
	}
	if err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount(node, dir, kind, flags|unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSUID, optionsFor(kind)); err != nil {
		return fmt.Errorf("mount its %s: %w", kind, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return do(int(root.Fd()))
}
