package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/planner"
	"golang.org/x/sys/unix"
)

// backupOf returns where a copy of an action's finished header goes, "" for nowhere,
// and how large it is at most.
func backupOf(action planner.Action) (path string, size disk.Bytes) {
	switch a := action.(type) {
	case planner.Create:
		if a.Encryption != nil {
			return a.Encryption.HeaderBackup, a.Encryption.DataOffset
		}
	case planner.Reencrypt:
		return a.Encryption.HeaderBackup, max(a.Shift, minHeaderFile)
	case planner.Enroll:
		return a.HeaderBackup, minHeaderFile
	}
	return "", 0
}

// checkBackup refuses a header backup that could not be written, while the disk is
// still as it was.
func (x *run) checkBackup(_ context.Context, action planner.Action) error {
	path, size := backupOf(action)
	if path == "" {
		return nil
	}
	dir := filepath.Dir(path)
	var space unix.Statfs_t
	if err := unix.Statfs(dir, &space); err != nil {
		return fmt.Errorf("header_backup: %w", &os.PathError{Op: "look for room in", Path: dir, Err: err})
	}
	if free := disk.Bytes(space.Bavail) * disk.Bytes(space.Bsize); free < size {
		return fmt.Errorf("header_backup: %s has room for %s, and a backup may take %s", dir, free, size)
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("header_backup: %w", &os.PathError{Op: "write to", Path: dir, Err: err})
	}
	return nil
}

// backup writes the copy of a finished header.
func (x *run) backup(_ context.Context, action planner.Action) error {
	path, _ := backupOf(action)
	if path == "" || x.left[action.Partition()] {
		return nil
	}
	home, closeHome, err := x.headerHome(action)
	if err != nil {
		return err
	}
	defer closeHome()
	if err := writeBackup(home, path); err != nil {
		return fmt.Errorf("header_backup: %w", err)
	}
	x.env.report(Event{Phase: Committed, Action: action.Kind(), Partition: action.Partition(), Step: "header backup"})
	return nil
}

// headerHome returns where the header of an action's volume lies.
func (x *run) headerHome(action planner.Action) (home blockdev.Device, done func(), err error) {
	if a, ok := action.(planner.Reencrypt); ok && a.Room == planner.RoomDetached {
		file, err := blockdev.Open(a.HeaderPath, blockdev.OpenOptions{})
		if err != nil {
			return nil, nil, err
		}
		return file, func() { _ = file.Close() }, nil
	}
	for _, r := range x.plan.Rows {
		if r.Number == action.Partition() && r.Activity != planner.ActivityDelete {
			section, err := blockdev.NewSection(x.dev, r.Extent)
			return section, func() {}, err
		}
	}
	return nil, nil, errors.New("the plan has no such partition")
}

// writeBackup writes the header's backup. A power cut leaves what was at path before,
// or all of the new one.
func writeBackup(home blockdev.Device, path string) error {
	return wholefile.Replace(path, 0o600, func(file *os.File) error { return BackupHeader(home, file) })
}
