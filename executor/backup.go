package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// backup is where a copy of a finished header goes.
type backup struct {
	path string        // "" for nowhere
	in   *plan.Mounted // the partition that path is in, nil for this machine
	size disk.Bytes    // of the copy at most
}

// backupOf returns where that of an action's header goes.
func backupOf(action plan.Action) backup {
	switch a := action.(type) {
	case plan.Create:
		if e := a.Encryption; e != nil {
			return backup{e.HeaderBackup, e.HeaderBackupIn, e.DataOffset}
		}
	case plan.Reencrypt:
		return backup{a.Encryption.HeaderBackup, a.Encryption.HeaderBackupIn, max(a.Shift, minHeaderFile)}
	case plan.Enroll:
		return backup{a.HeaderBackup, a.HeaderBackupIn, minHeaderFile}
	}
	return backup{}
}

// checkBackup refuses a header backup that could not be written into a partition, while the
// disk is still as it was: it is mounted to be looked at. Into a file system that is still to
// be made nobody can look.
func (x *run) checkBackup(_ context.Context, action plan.Action) error {
	b := backupOf(action)
	if b.path == "" || b.in == nil || x.isNew(b.in.Number) {
		return nil
	}
	return x.inDirectory(b, true, b.checkIn)
}

// checkIn refuses a directory that cannot take the backup.
func (b backup) checkIn(dir *os.File) error {
	if err := b.replaceable(dir); err != nil {
		return err
	}
	return checkRoomIn(dir, b.path, b.size)
}

// replaceable refuses to put a backup in the place of anything but an earlier one: the path may
// be that of a disk, of its node, or of a file that somebody needs.
func (b backup) replaceable(dir *os.File) error {
	var stat unix.Stat_t
	switch err := unix.Fstatat(int(dir.Fd()), filepath.Base(b.path), &stat, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return &os.PathError{Op: "look at", Path: b.path, Err: err}
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return &headerError{b.path + " is there, and is no regular file", "name another file, or move this one away"}
	case stat.Size == 0:
		return nil
	}
	fd, err := unix.Openat(int(dir.Fd()), filepath.Base(b.path), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: b.path, Err: err}
	}
	file := os.NewFile(uintptr(fd), b.path)
	defer file.Close()
	if h, err := luks2.Read(file, stat.Size); err != nil || h.BackupSize() < stat.Size {
		return &headerError{b.path + " is there, and is no backup of a LUKS2 header", "name another file, or move this one away; it is not written over"}
	}
	return nil
}

// isNew reports whether the plan makes a partition.
func (x *run) isNew(number int) bool {
	row, _ := x.plan.Row(number)
	return row.Activity == plan.ActivityCreate
}

// inDirectory calls do with the directory of a backup: one of this machine that others
// cannot change, or one of a partition that is mounted for as long as do runs.
func (x *run) inDirectory(b backup, readOnly bool, do func(dir *os.File) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("header_backup: %w", err)
		}
	}()
	if b.in == nil {
		return inHostDirectory(b.path, do)
	}
	x.mounting.Lock()
	defer x.mounting.Unlock()
	dev, err := x.mountable()
	if err != nil {
		return err
	}
	if !readOnly {
		x.touch()
	}
	node, err := dev.NodeOf(b.in.Extent)
	if err != nil {
		return err
	}
	return errors.Join(mkfs.InMounted(node.Path, b.in.Filesystem, filepath.Dir(b.path), readOnly, do), node.Release(), dev.Forget())
}

// inHostDirectory calls do with the directory that a file of this machine goes to.
func inHostDirectory(path string, do func(dir *os.File) error) error {
	dir, _, err := resolve.Tree{Trusted: true}.Parent(path)
	if errors.Is(err, os.ErrNotExist) {
		err = &os.PathError{Op: "look for room in", Path: filepath.Dir(path), Err: unix.ENOENT}
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(dir)
}

// backupAhead writes the copy of a header that is about to be committed. The run that
// finds the header committed has nothing left to do, and would not write a copy that
// a power cut after the commit left unwritten. Before the commit the copy is refused by
// who would restore it where data does not fit it yet, and does no harm else. What goes
// wrong here is no reason to leave the volume unfinished; backup will fail of it too, and
// say so.
func (x *run) backupAhead(action plan.Action, header *luks2.Header, areas io.ReaderAt) {
	if b := backupOf(action); b.path != "" {
		_ = x.writeBackup(b, func(file io.Writer) error { return header.Backup(areas, file) })
	}
}

// backupCreated does that for a new volume, which the table makes one.
func (x *run) backupCreated(_ context.Context, action plan.Action) error {
	if a, ok := action.(plan.Create); ok && a.Encryption != nil && !x.left[a.Number] {
		v := x.volumes[a.Number]
		x.backupAhead(a, v.header, v.front)
	}
	return nil
}

// backup writes the copy of a finished header, now without what its commit wiped.
func (x *run) backup(ctx context.Context, action plan.Action) error {
	b, v := backupOf(action), x.volumes[action.Partition()]
	if b.path == "" || x.left[action.Partition()] || v != nil && v.same {
		return nil
	}
	home, closeHome, err := x.headerHome(action)
	if err != nil {
		return err
	}
	defer closeHome()
	if err := x.writeBackup(b, func(file io.Writer) error { return BackupHeader(ctx, home, file) }); err != nil {
		return err
	}
	x.env.report(Event{Phase: Committed, Action: action.Kind(), Partition: action.Partition(), Step: "header backup"})
	return nil
}

// headerHome returns where the header of an action's volume lies.
func (x *run) headerHome(action plan.Action) (home blockdev.Device, done func(), err error) {
	if a, ok := action.(plan.Reencrypt); ok && a.Room == plan.RoomDetached {
		if _, err := (resolve.Tree{Trusted: true}).Stat(a.HeaderPath); err != nil {
			return nil, nil, err
		}
		file, err := blockdev.Open(a.HeaderPath, blockdev.OpenOptions{})
		if err != nil {
			return nil, nil, err
		}
		return file, func() { _ = file.Close() }, nil
	}
	row, ok := x.plan.Row(action.Partition())
	if !ok {
		return nil, nil, errors.New("the plan has no such partition")
	}
	section, err := blockdev.NewSection(x.dev, row.Extent)
	return section, func() {}, err
}

// writeBackup writes the file of a backup. A power cut leaves what was there before, or
// all of the new one.
func (x *run) writeBackup(b backup, copyHeader func(io.Writer) error) error {
	return x.inDirectory(b, false, func(dir *os.File) error {
		if err := b.replaceable(dir); err != nil { // a file system of the plan may have got one since
			return err
		}
		return wholefile.ReplaceIn(dir, filepath.Base(b.path), 0o600, func(file *os.File) error { return copyHeader(file) })
	})
}
