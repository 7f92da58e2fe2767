package planner

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// MinimalSize returns the size of the smallest image that holds a partition for
// every definition: what --size=auto means for a file that does not exist yet.
// Make with this size and EmptyCreate succeeds, and leaves no space free.
func MinimalSize(defs []definitions.Definition, facts host.Facts, o Options) (disk.Bytes, error) {
	o.Empty, o.Size = EmptyCreate, plan.MaxDisk
	snap := disk.Snapshot{Path: "the new image", SectorSize: max(512, o.SectorSize)}
	l := &layout{snap: snap, opts: o, facts: facts, grain: grainOf(o, snap.SectorSize)}
	if err := l.prepare(defs); err != nil {
		return 0, err
	}
	return l.minimalSize()
}

// minimalSize adds up what all parts need, in front of the backup GPT.
func (l *layout) minimalSize() (disk.Bytes, error) {
	l.mergeSupplements()
	l.settleNeeds()
	for _, p := range l.parts {
		p.extent.Size = p.needs.min
	}
	if _, err := l.raiseTrees(); err != nil {
		return 0, err
	}
	l.settleNeeds()
	end := l.usable.Offset
	for _, p := range l.parts {
		if p.created() {
			end = plus(end, l.footprint(p))
		}
	}
	backup := plan.BackupSectors(l.snap.SectorSize, l.table.Slots).Offset(l.snap.SectorSize)
	return plus(end, backup).RoundUp(l.snap.SectorSize), nil
}
