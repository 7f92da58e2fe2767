package executor

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/planner"
)

// plainWindow is where the plain file system of a conversion lies on the disk.
func (x *run) plainWindow(a planner.Reencrypt) mkfs.Window {
	w := mkfs.Window{Path: x.dev.Name(), Offset: a.Extent.Offset, Size: a.Extent.Size}
	if a.Room == planner.RoomGap {
		w.Offset, w.Size = w.Offset+a.Shift, w.Size-a.Shift
	}
	return w
}

// finishShrink finishes a shrink of an ext file system that a power cut interrupted,
// whatever the plan is now: once encrypted, nothing could finish it any more.
func (x *run) finishShrink(ctx context.Context, action planner.Action) error {
	a, ok := action.(planner.Reencrypt)
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
	if _, err := mkfs.FinishShrink(ctx, w); err != nil {
		return fmt.Errorf("finish the shrink of the file system: %w", err)
	}
	return nil
}

// shrink makes the file system of a partition small enough for the header to fit.
// It is checked first; one that a checker cannot mend alone is refused untouched.
func (x *run) shrink(ctx context.Context, a planner.Reencrypt) error {
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	window := x.plainWindow(a)
	if err := mkfs.CheckExt(ctx, window); err != nil {
		return fmt.Errorf("check the file system: %w", err)
	}
	if err := mkfs.ShrinkExt(ctx, window, a.ShrinkTo); err != nil {
		return fmt.Errorf("shrink the file system to %s: %w", a.ShrinkTo, err)
	}
	x.env.report(Event{Phase: Committed, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	return nil
}
