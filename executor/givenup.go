package executor

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner/plan"
)

// blankGivenUp lets what is left of free space that its owner gave up count as free for
// the next one, too: that goes by what lies at its ends, which are new ones, and by old
// signatures. Both are zeroed. A power cut leaves the old table, and less in space that was free
// by it or that the plan takes away.
func (x *run) blankGivenUp() error {
	given := x.givenUp()
	if tableStays(x.plan) || len(given) == 0 {
		return nil
	}
	if err := x.unchanged(); err != nil {
		return err
	}
	state, err := tableOf(x.dev, x.plan)
	if err != nil {
		return err
	}
	entries, sector := x.entries(), x.plan.Target.SectorSize
	for _, free := range disk.Within(probe.FreeAreas(x.plan.Table, entries, sector), []disk.Extent{{Size: x.dev.Size()}}) {
		mine := disk.Without(disk.Within([]disk.Extent{free}, given), state.Backup())
		for _, part := range disk.Within(probe.LookedAt(free, entries), mine) {
			if err := x.blank(part); err != nil {
				return err
			}
		}
		if err := x.eraseIn(free, mine); err != nil {
			return err
		}
	}
	return nil
}

// givenUp returns the space outside of all partitions that the run may overwrite by its owner's
// word: all of it where the table is a new one, what partitions leave that go, and with
// --leftovers=discard the free areas that others take from. Other free areas count as free, but
// not all of them was read: what nobody saw stays as it is.
func (x *run) givenUp() (given []disk.Extent) {
	if x.plan.NewTable {
		return []disk.Extent{{Size: max(x.dev.Size(), x.plan.Target.Size)}}
	}
	for _, r := range x.plan.Rows {
		if r.Activity == plan.ActivityDelete {
			given = append(given, r.Extent)
		}
	}
	if x.plan.Leftovers != plan.LeftoversDiscard {
		return given
	}
	for _, a := range probe.FreeAreas(x.snapshot.Table, x.before(), x.plan.Target.SectorSize) {
		takes := func(r plan.Row) bool { return r.Activity != plan.ActivityDelete && a.Overlaps(r.Extent) }
		if slices.ContainsFunc(x.plan.Rows, takes) {
			given = append(given, a)
		}
	}
	return given
}

// blank zeroes what of e does not read as blank.
func (x *run) blank(e disk.Extent) error {
	at, err := blockdev.NonBlank(x.dev, e)
	if err != nil || at < 0 {
		return err
	}
	if err := blockdev.WriteZeroes(x.dev, disk.Extent{Offset: at, Size: e.End() - at}); err != nil {
		return fmt.Errorf("blank free space at %d: %w", at, err)
	}
	return nil
}

// eraseIn erases the signatures that free space bears in parts of it.
func (x *run) eraseIn(free disk.Extent, parts []disk.Extent) error {
	section, err := blockdev.NewSection(x.dev, free)
	if err != nil {
		return err
	}
	return x.erase(section, func(e disk.Extent) bool {
		e.Offset += free.Offset
		return len(disk.Without([]disk.Extent{e}, parts)) == 0
	}, nil)
}
