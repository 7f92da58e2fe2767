package executor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/planner/plan"
)

// claimFree says in the table that the free space which prepare is about to fill is this run's:
// it was looked over, and what a power cut leaves in it is nobody else's. A blank disk gets an
// empty table for that. A power cut leaves the old table, or none, with the claim or without;
// publish takes the claim away. Where --empty=force replaces what is there, nothing needs one:
// the next run replaces it, too.
func (x *run) claimFree() error {
	places := x.toFill()
	if tableStays(x.plan) || len(places) == 0 || x.plan.NewTable && x.snapshot.Table.Kind != disk.NoTable {
		return nil
	}
	if err := x.unchanged(); err != nil {
		return err
	}
	state, writes, err := x.claim(places)
	if err != nil {
		return err
	}
	if x.plan.NewTable {
		x.began = 0 // as in mendTable
	}
	if err := state.Apply(x.dev, writes); err != nil {
		return fmt.Errorf("claim free space: %w", err)
	}
	return nil
}

// claim returns the writes that claim free space.
func (x *run) claim(places []disk.Extent) (*gpt.State, []gpt.Write, error) {
	state, err := tableOf(x.dev, x.plan)
	if err != nil {
		return nil, nil, err
	}
	if !x.plan.NewTable {
		return state, state.Claim(places), nil
	}
	writes, err := state.ClaimNew(x.plan.Table, x.dev.Size())
	return state, writes, err
}

// toFill returns what prepare writes to in space that no partition has yet, with what is free
// between.
func (x *run) toFill() (places []disk.Extent) {
	for _, a := range x.plan.Actions {
		if x.left[a.Partition()] {
			continue
		}
		switch a := a.(type) {
		case plan.Create:
			places = append(places, a.Extent)
		case plan.Verity:
			places = append(places, a.HashExtent)
		case plan.Reencrypt:
			if a.Room == plan.RoomGap && !a.Resume {
				places = append(places, disk.Extent{Offset: a.Extent.Offset, Size: a.Shift})
			}
		}
	}
	slices.SortFunc(places, func(a, b disk.Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	var joined []disk.Extent
	for _, e := range places {
		if last := len(joined) - 1; last >= 0 && x.isFree(disk.Extent{Offset: joined[last].End(), Size: e.Offset - joined[last].End()}) {
			joined[last].Size = e.End() - joined[last].Offset
			continue
		}
		joined = append(joined, e)
	}
	return joined
}

// isFree reports whether no partition that is there has a byte of e.
func (x *run) isFree(e disk.Extent) bool {
	return !slices.ContainsFunc(x.snapshot.Partitions, func(p disk.Partition) bool { return p.Overlaps(e) })
}
