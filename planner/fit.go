package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// NoSpaceError says that the partitions do not fit.
type NoSpaceError struct {
	Definition string     // of the partition that found no place
	Partition  int        // its number where it is there and must grow, 0 for a new one
	Need       disk.Bytes // what it takes at least, with the space behind it
	Have       disk.Bytes // the largest free area; of one that is there, how far it can grow
	Total      disk.Bytes // what all that must be made or grown take together
	Free       disk.Bytes // what all free areas offer together
	// Occupied is the space that no partition has and that is not free, for something lies in
	// it; SectorSize is the disk's.
	Occupied   []disk.Occupied
	SectorSize disk.Bytes
}

// Error says how much is needed and how much there is.
func (e *NoSpaceError) Error() string { return e.lack() + DescribeOccupied(e.Occupied, e.SectorSize) }

// lack says how much is needed and how much is free.
func (e *NoSpaceError) lack() string {
	need, have := figures(e.Need, e.Have)
	total, free := figures(e.Total, e.Free)
	switch {
	case e.Partition != 0:
		return fmt.Sprintf("no space for %s.toml: partition %d must have at least %s with its padding, and what lies behind it lets it have %s", e.Definition, e.Partition, need, have)
	case e.Need > e.Have:
		return fmt.Sprintf("no space for %s.toml: it needs at least %s with its padding, and the largest free area has %s (all definitions together need %s more, and %s are free)", e.Definition, need, have, total, free)
	default:
		return fmt.Sprintf("no space for %s.toml: it needs at least %s with its padding, and of the largest free area's %s the others that must be made or grow leave less (all together need %s more, and %s are free)", e.Definition, need, have, total, free)
	}
}

// DescribeOccupied says which space is not free, to be appended to a reason; "" where none is.
func DescribeOccupied(occupied []disk.Occupied, sectorSize disk.Bytes) string {
	text := ""
	for _, o := range occupied {
		text += fmt.Sprintf("; the %s at byte %d are not free: in them lies %s", o.Size, o.Offset, o.Found.Describe(sectorSize))
	}
	return text
}

// remedyOccupied is what to do where something lies in space that is wanted.
const remedyOccupied = "look at what lies in the space that is not free; --leftovers=discard gives it up"

// Hint says what would help.
func (e *NoSpaceError) Hint() string {
	help := "lower size_min or padding_min, give a priority above 0 to what may be left out, or make room: fewer partitions, or a larger disk (--size, for an image file)"
	if len(e.Occupied) > 0 {
		help = remedyOccupied + "; else " + help
	}
	if e.Partition != 0 {
		return help + "; a partition grows only into the free space right behind it"
	}
	return help
}

// figures writes two sizes that are compared so that they look different where they are.
func figures(a, b disk.Bytes) (string, string) {
	if a != b && a.String() == b.String() {
		return fmt.Sprintf("%d bytes", a), fmt.Sprintf("%d", b)
	}
	return a.String(), b.String()
}

// fit assigns every new partition to an area. Where that fails it gives up, in
// this order: room on the disk for LUKS2 headers that can have another, merging supplements, and partitions by falling priority.
func (l *layout) fit() error {
	for {
		l.mergeSupplements()
		lacking := l.assign()
		for lacking != nil && l.relaxHeaderRooms() {
			lacking = l.assign()
		}
		if lacking == nil {
			return nil
		}
		if l.unmergeSupplements() {
			return nil
		}
		lacking = l.assign()
		if !l.drop() {
			return l.noSpace(lacking)
		}
		l.findAreas() // what is left alone takes no room for a header
	}
}

// assign gives each new partition, in their order, the smallest area that can
// hold it. It returns the first partition that finds no place, nil where all do.
func (l *layout) assign() (lacking *part) {
	l.settleNeeds()
	for _, a := range l.areas {
		a.new, a.taken = nil, 0
	}
	slices.SortFunc(l.areas, func(a, b *area) int {
		return cmp.Or(cmp.Compare(l.room(a), l.room(b)), cmp.Compare(a.rank, b.rank), cmp.Compare(a.Offset, b.Offset))
	})
	for _, p := range l.parts {
		if !l.assignOne(p) {
			return p
		}
	}
	return nil
}

// assignOne finds a place for p, if it needs one.
func (l *layout) assignOne(p *part) bool {
	if p.absent() || p.foreign() {
		return true
	}
	if p.old != nil {
		return plus(p.needs.min, p.needs.padMin) <= l.reach(p)
	}
	need := l.footprint(p)
	for _, a := range l.areas {
		if l.room(a) >= need {
			a.new, a.taken = append(a.new, p), a.taken+need
			return true
		}
	}
	return false
}

// reach returns how far an existing partition can grow.
func (l *layout) reach(p *part) disk.Bytes {
	if p.gap == nil {
		return p.base().Size
	}
	return p.gap.End() - p.base().Offset
}

// drop gives up what has the highest priority number above 0: new partitions are
// not made, existing ones are left alone, and the members of a verity set go
// together. It reports whether there was anything to give up.
func (l *layout) drop() bool {
	highest := int32(0)
	for _, p := range l.parts {
		if l.mayDrop(p) {
			highest = max(highest, p.def.Partition.Priority)
		}
	}
	if highest == 0 {
		return false
	}
	for _, p := range l.parts {
		if l.mayDrop(p) && p.def.Partition.Priority == highest {
			l.dropSet(p)
		}
	}
	return true
}

// mayDrop reports whether p can be given up. What the factory reset deletes must come
// back, with its set: else the next run would give its definition another partition
// of the type, which may hold data.
func (l *layout) mayDrop(p *part) bool {
	deleted := func(q *part) bool { return q.former != 0 && (q == p || sameSet(p, q)) }
	return p.def != nil && !p.dropped && !slices.ContainsFunc(l.parts, deleted)
}

// dropSet drops p and what is of no use without it.
func (l *layout) dropSet(p *part) {
	for _, q := range l.parts {
		if q.dropped || (q != p && !sameSet(p, q)) {
			continue
		}
		q.dropped = true
		if q.old == nil {
			l.note(q, "not created: space is short, and its priority allows that")
		} else {
			l.note(q, fmt.Sprintf("partition %d is left alone: space is short, and its priority allows that", q.old.Number))
		}
	}
}

// noSpace says why lacking has no place.
func (l *layout) noSpace(lacking *part) error {
	e := &NoSpaceError{Definition: lacking.def.Name, Need: l.footprint(lacking), Occupied: l.occupied(), SectorSize: l.snap.SectorSize}
	for _, a := range l.areas {
		e.Have = max(e.Have, a.Size)
		e.Free += a.Size
	}
	if lacking.old != nil {
		e.Partition, e.Have = lacking.old.Number, l.reach(lacking)
	}
	for _, p := range l.parts {
		switch {
		case p.created():
			e.Total = plus(e.Total, l.footprint(p))
		case p.old != nil && !p.foreign():
			e.Total = plus(e.Total, max(0, l.footprint(p)-p.base().Size))
		}
	}
	return e
}
