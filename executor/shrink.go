package executor

import (
	"context"
	"fmt"

	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/planner"
)

// shrink makes the file system of a partition small enough for the header to fit.
// It is checked first; one that a checker cannot mend alone is refused untouched.
func (x *run) shrink(ctx context.Context, a planner.Reencrypt) error {
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	window := mkfs.Window{Path: x.dev.Name(), Offset: a.Extent.Offset, Size: a.Extent.Size}
	if err := mkfs.CheckExt(ctx, window); err != nil {
		return fmt.Errorf("check the file system: %w", err)
	}
	if err := mkfs.ShrinkExt(ctx, window, a.ShrinkTo); err != nil {
		return fmt.Errorf("shrink the file system to %s: %w", a.ShrinkTo, err)
	}
	x.env.report(Event{Phase: Committed, Action: a.Kind(), Partition: a.Number, Step: "shrink"})
	return nil
}
