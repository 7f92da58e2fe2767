package main

import (
	"context"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/trailing"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// surveyTrailing looks behind the file systems that a plan converts, and returns what it
// finds by the numbers of their partitions. It reads all that is there: so it looks only
// where something is about to be taken.
func surveyTrailing(ctx context.Context, dev blockdev.Device, plan *plan.Plan, snapshot disk.Snapshot) (map[int]disk.Trailing, error) {
	found := map[int]disk.Trailing{}
	for _, action := range plan.Actions {
		a, takes := planner.TakesTrailing(action)
		p, there := snapshot.Partition(action.Partition())
		if !takes || !there {
			continue
		}
		t, err := trailing.Survey(ctx, dev, trailing.Place{Partition: p, Grown: a.Extent.Size, Shift: a.MovedBy()})
		if err != nil {
			return nil, err
		}
		if t.Found() {
			found[a.Number] = t
		}
	}
	return found, nil
}
