package planner

import (
	"cmp"
	"math"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// area is free space between partitions, in multiples of the grain.
type area struct {
	disk.Extent
	before *part   // the partition it lies behind, nil at the start of the disk
	new    []*part // the new partitions that go here, in their order
	taken  disk.Bytes
	rank   int // breaks ties between areas of equal room
}

// findAreas fills l.areas. Their ranks are those of the partitions they lie
// behind, by number; the area at the start of the disk comes last.
func (l *layout) findAreas() {
	l.areas = nil
	present := slices.DeleteFunc(slices.Clone(l.parts), func(p *part) bool { return p.old == nil })
	slices.SortFunc(present, func(a, b *part) int { return cmp.Compare(a.old.Offset, b.old.Offset) })
	first := l.usable.End()
	for i, p := range present {
		p.gap = nil
		end := l.usable.End()
		if i+1 < len(present) {
			end = min(end, present[i+1].base().Offset)
		}
		l.addArea(p, p.old.End(), end)
	}
	if len(present) > 0 {
		first = min(first, present[0].base().Offset)
	}
	l.addArea(nil, l.usable.Offset, first)
}

// addArea adds the space from start to end behind a partition, without what is occupied of it.
func (l *layout) addArea(before *part, start, end disk.Bytes) {
	for _, o := range l.occupied() {
		if o.Offset >= end || o.End() <= start {
			continue
		}
		l.addFree(before, start, o.Offset)
		before, start = nil, o.End()
	}
	l.addFree(before, start, end)
}

// occupied returns the space that is in no partition and not free either: all of it, between
// two partitions, where something lies in it.
func (l *layout) occupied() []disk.Occupied {
	if l.opts.Leftovers == plan.LeftoversDiscard || l.newTable {
		return nil
	}
	return l.snap.Occupied
}

// addFree adds free space from start to end, if a multiple of the grain is left of it.
func (l *layout) addFree(before *part, start, end disk.Bytes) {
	start = max(start, l.usable.Offset).RoundUp(l.grain)
	end = end.RoundDown(l.grain)
	if end <= start {
		return
	}
	a := &area{Extent: disk.Extent{Offset: start, Size: end - start}, rank: math.MaxInt}
	l.areas = append(l.areas, a)
	// A partition in front of the usable space, where some boot loaders lie, stays
	// what it is: the space up to the area is not free to grow into.
	if before != nil && before.old.Offset >= l.table.FirstUsable.Offset(l.snap.SectorSize) {
		a.before, a.rank, before.gap = before, before.old.Number, a
	}
}

// room returns how much of a is left for new partitions when the partition before
// it has got what it needs.
func (l *layout) room(a *area) disk.Bytes {
	start := a.Offset
	if a.before != nil {
		start = max(start, plus(a.before.base().Offset, l.footprint(a.before)))
	}
	return max(0, a.End()-start-a.taken)
}
