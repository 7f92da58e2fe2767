package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/planner"
	"golang.org/x/sys/unix"
)

// What apply writes beside the disk, when it is asked to: an fstab, and the content of
// each partition as a file of its own.

// checkOutputs refuses, before anything is written, what would be written over.
func checkOutputs(dev *blockdev.File, plan *planner.Plan) error {
	for _, r := range plan.Rows {
		if r.SplitPath == "" {
			continue
		}
		if dev.IsBlockDevice() {
			return usageError{fmt.Errorf("--split: %s is a block device, and only an image file is split", dev.Name())}
		}
		if _, err := os.Lstat(r.SplitPath); err == nil {
			return inTheWayError{"--split", r.SplitPath}
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--split: %w", err)
		}
	}
	return nil
}

// inTheWayError names a file that is there already.
type inTheWayError struct{ flag, path string }

// Error names the flag that asks for the file.
func (e inTheWayError) Error() string { return fmt.Sprintf("%s: %s is there already", e.flag, e.path) }

// Hint says what to do.
func (inTheWayError) Hint() string { return "remove it, or move it away; it is not written over" }

// writeFstab writes the fstab of a plan to a file below the root directory. It comes when
// nobody else can use the disk any more, and before the plan is applied, so that copy_files may take it along.
// One that says the same already is left. takeBack removes what was made.
func (w *world) writeFstab(flags *applyFlags, plan *planner.Plan) (takeBack func() error, err error) {
	takeBack = func() error { return nil }
	if flags.fstab == "" {
		return takeBack, nil
	}
	lines, err := planner.Fstab(plan, w.definitions)
	if err != nil {
		return nil, fmt.Errorf("--generate-fstab: %w", err)
	}
	text := "# made by sealpart from the mount_point of its definitions\n" + lines
	made, err := flags.createFstab(text)
	if errors.Is(err, os.ErrExist) {
		err = inTheWayError{"--generate-fstab", filepath.Join(flags.root, flags.fstab)}
	}
	if made {
		takeBack = flags.removeFstab
	}
	return takeBack, err
}

// fstabTree is the tree in which the fstab is made.
func (f *applyFlags) fstabTree() resolve.Tree {
	return resolve.Tree{Root: f.root, Trusted: f.root == ""}
}

// createFstab makes the file, and reports whether it did: one that says the same already is left.
// Links on the way do not lead out of the tree, and one at its name is in the way.
func (f *applyFlags) createFstab(text string) (made bool, err error) {
	tree := f.fstabTree()
	if old, err := tree.Open(f.fstab, os.O_RDONLY|unix.O_NOFOLLOW); err == nil {
		defer old.Close()
		if is, err := io.ReadAll(io.LimitReader(old, int64(len(text)+1))); err == nil && string(is) == text {
			return false, nil
		}
	}
	dir, name, err := tree.Parent(f.fstab)
	if err != nil {
		return false, fmt.Errorf("--generate-fstab: %w", err)
	}
	defer dir.Close()
	err = wholefile.CreateIn(dir, name, 0o644, func(file *os.File) error {
		_, err := file.WriteString(text)
		return err
	})
	return err == nil, err
}

// removeFstab takes the file away again. A power cut before it leaves an fstab that says
// what the next run will make.
func (f *applyFlags) removeFstab() error {
	dir, name, err := f.fstabTree().Parent(f.fstab)
	if err != nil {
		return fmt.Errorf("--generate-fstab: %w", err)
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: filepath.Join(f.root, f.fstab), Err: err}
	}
	return nil
}
