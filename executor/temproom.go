package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// TempRoomError says that the folder for temporary files cannot hold the new file systems. Nothing
// was written.
type TempRoomError struct {
	Folder         string
	Partition      int
	Format         string
	Need, All      disk.Bytes // at least: of the partition, and with those before it
	Free           disk.Bytes // in the folder
	makingFailedOf error      // nil where it was not begun
}

// Error names the folder, the partition and the sizes.
func (e *TempRoomError) Error() string {
	if e.makingFailedOf != nil {
		return fmt.Sprintf("partition %d: make its new %s: the folder for temporary files, %s, is full: %v", e.Partition, e.Format, e.Folder, e.makingFailedOf)
	}
	return fmt.Sprintf("partition %d: its new %s takes at least %s in the folder for temporary files, %s, in which %s are free and all new file systems so far take %s",
		e.Partition, e.Format, e.Need, e.Folder, e.Free, e.All)
}

// Unwrap returns what making it failed of, if it was begun.
func (e *TempRoomError) Unwrap() error { return e.makingFailedOf }

// Hint says where there may be more room.
func (*TempRoomError) Hint() string {
	return "let TMPDIR name a folder on a larger file system; in an initramfs these lie in memory: copy less in it"
}

// checkTempRoom refuses new file systems whose files do not fit into the folder for temporary
// files, in which all of them lie until they are written: they are made before the first write
// to the disk. Beside their files they are sparse.
func (x *run) checkTempRoom(ctx context.Context) error {
	folder, all := x.tempFolder(), disk.Bytes(0)
	return x.each(ctx, func(_ context.Context, action plan.Action) error {
		a, ok := action.(plan.Create)
		if !ok || a.Filesystem == nil || x.left[a.Number] {
			return nil
		}
		need, err := mkfs.Stored(copiesOf(a, x.env.Root))
		if err != nil || need == 0 {
			return err
		}
		free, err := freeIn(folder)
		if all += need; err != nil || all <= free {
			return err
		}
		return &TempRoomError{Folder: folder, Partition: a.Number, Format: a.Filesystem.Format, Need: need, All: all, Free: free}
	})
}

// asTempRoom says of an error of making a file system that the folder is full, if it is.
func (x *run) asTempRoom(a plan.Create, err error) error {
	const full = disk.MiB
	folder := x.tempFolder()
	if err == nil {
		return nil
	}
	free, statErr := freeIn(folder)
	if !errors.Is(err, unix.ENOSPC) && (statErr != nil || free >= full) {
		return err
	}
	return &TempRoomError{Folder: folder, Partition: a.Number, Format: a.Filesystem.Format, Free: free, makingFailedOf: err}
}

// tempFolder returns the folder for temporary files.
func (x *run) tempFolder() string { return cmp.Or(x.env.TempDir, os.TempDir()) }

// freeIn returns how much can be written to a folder.
func freeIn(folder string) (disk.Bytes, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, fmt.Errorf("folder for temporary files %s: %w", folder, err)
	}
	return freeOf(stat), nil
}

// freeOf returns how much can be written to a file system, but for what is kept for root.
func freeOf(stat unix.Statfs_t) disk.Bytes {
	return disk.Bytes(stat.Bavail) * disk.Bytes(stat.Bsize)
}
