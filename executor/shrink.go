package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/internal/trailing"
	"github.com/sealpart/sealpart/planner/plan"
)

// plainWindow is where the plain file system of a conversion lies on the disk. It is opened
// by the descriptor that we have: somebody may have put another file under the name.
func (x *run) plainWindow(a plan.Reencrypt) mkfs.Window {
	w := mkfs.Window{Path: x.dev.Name(), Name: x.dev.Name(), Offset: a.Extent.Offset, Size: a.Extent.Size}
	if dev, ok := x.dev.(interface{ Fd() int }); ok {
		w.Path = fmt.Sprintf("/proc/self/fd/%d", dev.Fd())
	}
	if a.Room == plan.RoomGap {
		w.Offset, w.Size = w.Offset+a.Shift, w.Size-a.Shift
	}
	return w
}

// finishShrink finishes a shrink of an ext file system that a power cut interrupted,
// whatever the plan is now: once encrypted, nothing could finish it any more.
func (x *run) finishShrink(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Reencrypt)
	if !ok || a.Resume || x.left[a.Number] || !strings.HasPrefix(a.Filesystem, "ext") {
		return nil
	}
	w := x.plainWindow(a)
	section, err := blockdev.NewSection(x.dev, disk.Extent{Offset: w.Offset, Size: w.Size})
	if err != nil {
		return err
	}
	if pending, err := mkfs.ShrinkPending(section); err != nil || !pending {
		return err
	}
	x.touch()
	if _, err := mkfs.FinishShrink(ctx, w); err != nil {
		return fmt.Errorf("finish the shrink of the file system: %w", err)
	}
	return nil
}

// checkShrink refuses, with nothing written yet, to shrink an ext file system that a
// checker cannot mend alone, or that does not get small enough.
func (x *run) checkShrink(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Reencrypt)
	if !ok || a.Resume || a.ShrinkTo == 0 || x.left[a.Number] || !strings.HasPrefix(a.Filesystem, "ext") {
		return nil
	}
	if err := mkfs.TryShrinkExt(ctx, x.plainWindow(a), a.ShrinkTo); err != nil {
		return &unshrinkableError{a.ShrinkTo, err}
	}
	return nil
}

// unshrinkableError says that a file system cannot be made small enough.
type unshrinkableError struct {
	size disk.Bytes
	err  error
}

// Error says what was tried.
func (e *unshrinkableError) Error() string {
	return fmt.Sprintf("check the file system and shrink it to %s: %v", e.size, e.err)
}

// Unwrap returns what the programs said.
func (e *unshrinkableError) Unwrap() error { return e.err }

// Hint returns the next step.
func (*unshrinkableError) Hint() string {
	return "nothing was changed; see with \"e2fsck -f\" what can be saved, or give the header another place (header_room), then apply again"
}

// shrink makes the file system of a partition small enough for the header to fit, by, and has
// the mark behind it.
func (x *run) shrink(ctx context.Context, a plan.Reencrypt, by func(context.Context, plan.Reencrypt) error) error {
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	x.touch()
	if err := by(ctx, a); err != nil {
		return err
	}
	x.env.report(Event{Phase: Committed, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	return x.moveMark(a)
}

// shrinksMounted reports whether a conversion has the kernel make the file system smaller.
func shrinksMounted(a plan.Reencrypt) bool {
	return !a.Resume && a.ShrinkTo > 0 && a.Filesystem == "btrfs"
}

// shrinkMounted lets the kernel shrink a btrfs, before anything else is written: whether it can,
// nobody knows but by trying. What a power cut leaves is told at mkfs.ShrinkBtrfs; where the
// kernel refuses, the file system keeps its size.
func (x *run) shrinkMounted(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Reencrypt)
	if !ok || !shrinksMounted(a) || x.left[a.Number] {
		return nil
	}
	_, place, _ := x.beginning(a)
	marked := trailing.Marked(x.dev, place)
	if err := x.markTrailing(a); err != nil {
		return err
	}
	err := x.shrink(ctx, a, x.shrinkBtrfs)
	if err != nil && !marked {
		err = errors.Join(err, trailing.Unmark(x.dev, place))
	}
	return err
}

// shrinkExt shrinks an ext file system on its own.
func (x *run) shrinkExt(ctx context.Context, a plan.Reencrypt) error {
	window := x.plainWindow(a)
	if err := mkfs.CheckExt(ctx, window); err != nil {
		return fmt.Errorf("check the file system: %w", err)
	}
	if err := mkfs.ShrinkExt(ctx, window, a.ShrinkTo); err != nil {
		return fmt.Errorf("shrink the file system to %s: %w", a.ShrinkTo, err)
	}
	return nil
}

// mountable is a disk whose partitions the kernel can mount.
type mountable interface {
	NodeOf(e disk.Extent) (blockdev.Node, error)
	Forget() error
	IsBlockDevice() bool
}

// mountable returns the disk where the kernel may mount file systems of it.
func (x *run) mountable() (mountable, error) {
	dev, ok := x.dev.(mountable)
	switch {
	case !ok:
		return nil, errors.New("a file system on this disk cannot be mounted")
	case !dev.IsBlockDevice() && !x.env.Mount:
		return nil, errors.New("a file system in an image file is mounted only when that is asked for (--mount)")
	}
	return dev, nil
}

// shrinkBtrfs lets the kernel shrink a btrfs. It is not interrupted: ctx counts only at
// the start.
func (x *run) shrinkBtrfs(ctx context.Context, a plan.Reencrypt) (err error) {
	if err := interrupted(ctx); err != nil {
		return err
	}
	old, _ := x.snapshot.Partition(a.Number) // the table that is to come is not written yet
	extent := old.Extent
	dev, err := x.mountable()
	if err != nil {
		return err
	}
	node, err := dev.NodeOf(extent)
	if err != nil {
		return err
	}
	if node.Offset != 0 {
		return errors.Join(errors.New("the kernel does not know the partition, and so cannot mount its btrfs (partprobe makes it look)"), node.Release())
	}
	if err := errors.Join(mkfs.ShrinkBtrfs(ctx, node.Path, a.ShrinkTo), node.Release(), dev.Forget()); err != nil {
		return fmt.Errorf("shrink the file system to %s: %w", a.ShrinkTo, err)
	}
	section, err := blockdev.NewSection(x.dev, extent)
	if err != nil {
		return err
	}
	if size, err := mkfs.BtrfsSize(section); err != nil || size > a.ShrinkTo {
		return errors.Join(fmt.Errorf("the file system has %s after it was shrunk to %s", size, a.ShrinkTo), err)
	}
	return nil
}
