package executor

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// CheckPlan refuses a plan that Apply would refuse of the disk on dev and of this machine, whatever
// the keys: by the laws of plans, a table that could not be written, and files beside the
// disk for which there is no room. It reads only.
func CheckPlan(dev blockdev.Device, p *plan.Plan, snapshot disk.Snapshot) error {
	if p.Empty() {
		return nil
	}
	if err := plan.Check(p, snapshot); err != nil {
		return err
	}
	for _, action := range p.Actions {
		if err := checkBeside(action); err != nil {
			return named(action, err)
		}
	}
	return checkTable(dev, p)
}

// checkTable refuses a table that publish could not write, while nothing is written
// yet: prepare may take long, and overwrite what the table needs.
func checkTable(dev blockdev.Device, p *plan.Plan) error {
	if tableStays(p) {
		return nil
	}
	_, _, err := tableWrites(dev, p, p.Entries(nil))
	return err
}

// checkBeside refuses files that could not be written beside the disk: a header of its own,
// and the copy of one.
func checkBeside(action plan.Action) error {
	if b := backupOf(action); b.path != "" && b.in == nil {
		if err := inHostDirectory(b.path, func(dir *os.File) error { return cmp.Or(b.checkIn(dir), checkWritable(dir)) }); err != nil {
			return fmt.Errorf("header_backup: %w", err)
		}
	}
	r, ok := action.(plan.Reencrypt)
	if !ok || r.Room != plan.RoomDetached {
		return nil
	}
	if _, err := (resolve.Tree{Trusted: true}).Stat(r.HeaderPath); err == nil {
		return nil // whether it may be used is for detached to say
	}
	err := inHostDirectory(r.HeaderPath, func(dir *os.File) error {
		return cmp.Or(checkRoomIn(dir, r.HeaderPath, max(minHeaderFile, r.Shift)), checkWritable(dir))
	})
	if err != nil {
		return fmt.Errorf("header file: %w", err)
	}
	return nil
}

// checkWritable refuses a directory that this process may not write to.
func checkWritable(dir *os.File) error {
	if err := unix.Faccessat(int(dir.Fd()), ".", unix.W_OK, 0); err != nil {
		return &os.PathError{Op: "write to", Path: dir.Name(), Err: err}
	}
	return nil
}

// checkRoomIn refuses a directory without room for so many bytes.
func checkRoomIn(dir *os.File, path string, size disk.Bytes) error {
	var space unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &space); err != nil {
		return &os.PathError{Op: "look for room in", Path: dir.Name(), Err: err}
	}
	if free := freeOf(space); free < size {
		return fmt.Errorf("%s has room for %s, and %s may be needed", filepath.Dir(path), free, size)
	}
	return nil
}

// CheckFiles refuses files that the file system of a new partition could not hold, or that are
// not there below root. It reads only names.
func CheckFiles(root string, a plan.Create) error {
	if a.Filesystem == nil {
		return nil
	}
	return mkfs.CheckFiles(mkfs.Filesystem{Format: a.Filesystem.Format, CopyFiles: copiesOf(a, root)})
}
