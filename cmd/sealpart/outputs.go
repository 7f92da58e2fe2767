package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sys/unix"
)

// What apply writes beside the disk, when it is asked to: an fstab, and the content of
// each partition as a file of its own.

// checkOutputs refuses, before anything is written, what would be written over.
func checkOutputs(dev blockdev.Device, plan *plan.Plan) error {
	device, ok := dev.(interface{ IsBlockDevice() bool })
	for _, r := range plan.Rows {
		if r.SplitPath == "" {
			continue
		}
		if ok && device.IsBlockDevice() {
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

// checkFstab refuses a plan of which no fstab can be written, because it cannot name a file
// system, or because another file is in the way. Which new partitions are left unmade is
// not known yet: an fstab without them is none that is in the way.
func (w *world) checkFstab(plan *plan.Plan) error {
	if w.made == "" {
		return nil
	}
	is, readErr := w.readFstab()
	all, err := fstabOf(plan, w.definitions, nil, is)
	if err != nil {
		return err
	}
	least, err := fstabOf(plan, w.definitions, plan.Leavable(), is)
	if err != nil {
		return err
	}
	dir, _, err := w.fstabTree().Parent(w.made)
	if err != nil {
		return fmt.Errorf("--generate-fstab: %w", err)
	}
	_ = dir.Close() // nothing was written
	if errors.Is(readErr, os.ErrNotExist) || readErr == nil && hasLines(all, is) && hasLines(is, least) {
		return nil
	}
	return w.fstabInTheWay()
}

// hasLines reports whether all lines of a text are in another.
func hasLines(text, of string) bool {
	lines := strings.Split(text, "\n")
	return !slices.ContainsFunc(strings.Split(of, "\n"), func(line string) bool { return !slices.Contains(lines, line) })
}

// fstabOf returns the fstab of a plan, without partitions that are not made.
func fstabOf(plan *plan.Plan, defs []definitions.Definition, unmade []int, there string) (string, error) {
	lines, err := planner.Fstab(plan, defs, unmade, there)
	if err != nil {
		return "", fmt.Errorf("--generate-fstab: %w", err)
	}
	return "# made by sealpart from the mount_point of its definitions\n" + lines, nil
}

// fstabInTheWay says that a file is there which this run would not write.
func (w *world) fstabInTheWay() error {
	return inTheWayError{"--generate-fstab", filepath.Join(w.root, w.made)}
}

// writeFstab writes the fstab of a plan to a file below the root directory. It comes when
// nobody else can use the disk any more and it is known what is not made, and before the plan
// is applied, so that copy_files may take it along.
// One that says the same already is left. takeBack removes what was made.
func (w *world) writeFstab(plan *plan.Plan, unmade []int) (takeBack func() error, err error) {
	takeBack = func() error { return nil }
	if w.made == "" {
		return takeBack, nil
	}
	is, _ := w.readFstab() // where that fails, so does making it
	text, err := fstabOf(plan, w.definitions, unmade, is)
	if err != nil {
		return takeBack, err
	}
	made, err := w.createFstab(text)
	if errors.Is(err, os.ErrExist) {
		err = w.fstabInTheWay()
	}
	if made {
		takeBack = w.removeFstab
	}
	return takeBack, err
}

// fstabTree is the tree in which the fstab is made.
func (w *world) fstabTree() resolve.Tree {
	return resolve.Tree{Root: w.root, Trusted: w.root == ""}
}

// maxFstab is more than any fstab has, in bytes.
const maxFstab = 1 << 20

// readFstab reads what is there.
func (w *world) readFstab() (string, error) {
	file, err := w.fstabTree().Open(w.made, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return "", err
	}
	defer file.Close()
	is, err := io.ReadAll(io.LimitReader(file, maxFstab))
	return string(is), err
}

// createFstab makes the file, and reports whether it did: one that says the same already is left.
// Links on the way do not lead out of the tree, and one at its name is in the way.
func (w *world) createFstab(text string) (made bool, err error) {
	if is, err := w.readFstab(); err == nil && is == text {
		return false, nil
	}
	dir, name, err := w.fstabTree().Parent(w.made)
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
func (w *world) removeFstab() error {
	if err := w.fstabTree().Remove(w.made); err != nil {
		return fmt.Errorf("--generate-fstab: %w", err)
	}
	return nil
}
