package executor

import (
	"context"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/trailing"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// trailingError says that something lies behind a file system which is to be converted.
type trailingError struct{ reason string }

// Error says what and where.
func (e *trailingError) Error() string { return e.reason }

// Hint says what to do next.
func (*trailingError) Hint() string { return planner.RemedyTrailing }

// beginning returns the place of a conversion that action begins.
func (x *run) beginning(action plan.Action) (plan.Reencrypt, trailing.Place, bool) {
	a, ok := planner.TakesTrailing(action)
	if !ok || x.left[a.Number] {
		return a, trailing.Place{}, false
	}
	p, ok := x.snapshot.Partition(a.Number)
	return a, trailing.Place{Partition: p, Grown: a.Extent.Size, Shift: a.MovedBy()}, ok
}

// checkTrailing looks behind the file system before anything is written: what lies there is
// about to be overwritten, and may have come after the plan was made.
func (x *run) checkTrailing(ctx context.Context, action plan.Action) error {
	a, place, ok := x.beginning(action)
	if !ok || a.Trailing == definitions.TrailingDiscard {
		return nil
	}
	found, err := trailing.Survey(ctx, x.dev, place)
	if err != nil || !found.Found() {
		return err
	}
	return &trailingError{planner.TrailingReason(place.Partition, found, x.snapshot.SectorSize)}
}

// markTrailing says on the disk that what lies behind the file system is the conversion's
// own from here on, where anything is to be put there.
func (x *run) markTrailing(action plan.Action) error {
	a, place, ok := x.beginning(action)
	if !ok || place.Shift == 0 || a.Trailing == definitions.TrailingDiscard {
		return nil
	}
	return trailing.Mark(x.dev, place)
}

// moveMark moves the mark behind the file system that was made smaller.
func (x *run) moveMark(action plan.Reencrypt) error {
	a, place, ok := x.beginning(action)
	if !ok || a.Trailing == definitions.TrailingDiscard {
		return nil
	}
	place.Content.Size = a.ShrinkTo
	return trailing.Mark(x.dev, place)
}
