package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner/plan"
)

// eraseOld erases from a disk that gets a new table what would be recognised beside that: the
// marks of arrays at its end, of file systems and their copies anywhere, and of tables that
// are not in the new one's place. Only the marks go, for boards have their boot loaders
// between. A power cut leaves the old table, and some of what the plan takes away gone.
func (x *run) eraseOld() error {
	if !x.plan.NewTable {
		return nil
	}
	places, err := gpt.Strays(x.dev, x.dev.Size(), x.plan.Target.SectorSize)
	if err != nil {
		return err
	}
	return x.erase(x.dev, func(disk.Extent) bool { return true }, places)
}

// maxErasures is how often what is left is looked for again: one signature can hide another.
const maxErasures = 8

// erase zeroes places, and those signatures of dev that are to go. None of them is found
// afterwards.
func (x *run) erase(dev blockdev.Device, goes func(disk.Extent) bool, places []disk.Extent) error {
	for range maxErasures {
		found, err := probe.Signatures(dev, dev.Size())
		if err != nil {
			return err
		}
		for _, e := range found {
			if goes(e) {
				places = append(places, e)
			}
		}
		if len(places) == 0 {
			return nil
		}
		for _, e := range places {
			if err := blockdev.WriteZeroes(dev, e); err != nil {
				return fmt.Errorf("erase an old signature at %d: %w", e.Offset, err)
			}
		}
		if err := dev.Sync(); err != nil {
			return err
		}
		places = nil
	}
	return nil
}

// cleanGained removes from the space that a partition grows into what an earlier life left at
// its end, or where it would be found once the space is the partition's: a file system would
// turn into the member of an array that was there before. A power cut leaves the old
// table, in which this space is free.
func (x *run) cleanGained(a plan.Grow) error {
	for _, r := range x.plan.Rows {
		if r.Number != a.Number || r.Old == nil || r.End() <= r.Old.End() {
			continue
		}
		gained, err := blockdev.NewSection(x.dev, disk.Extent{Offset: r.Old.End(), Size: r.End() - r.Old.End()})
		if err != nil {
			return err
		}
		if err := x.clean(gained, false); err != nil {
			return err
		}
		grown, err := blockdev.NewSection(x.dev, r.Extent)
		if err != nil {
			return err
		}
		return x.erase(grown, func(e disk.Extent) bool { return e.Offset >= r.Old.End()-r.Offset }, nil)
	}
	return nil
}
