package planner

import "github.com/sealpart/sealpart/disk"

// place gives every new partition its offset: from the start of its area on, each
// behind the one before it and the free space wanted there.
func (l *layout) place() {
	for _, a := range l.areas {
		next := a.Offset
		if a.before != nil {
			next = max(next, plus(a.before.extent.End(), a.before.padding).RoundUp(l.grain))
		}
		for _, p := range a.new {
			p.extent.Offset = next
			next = plus(p.extent.End(), p.padding).RoundUp(l.grain)
		}
	}
}

// foresee lets every partition take now what a next run would give it: then it is
// one that is there, alone with the free space behind it, and its share of that
// may be larger than it was among the others (this takes a padding_weight).
// Without this, a disk would not be at rest after one run.
func (l *layout) foresee() {
	for _, a := range l.areas {
		members := a.new
		if a.before != nil && !a.before.foreign() {
			members = append([]*part{a.before}, members...)
		}
		for i, p := range members {
			end := a.End()
			if i+1 < len(members) {
				end = members[i+1].extent.Offset
			}
			l.growInto(p, end)
		}
	}
}

// growInto divides the free space between p and end as for a partition that is
// there.
func (l *layout) growInto(p *part, end disk.Bytes) {
	start := p.extent.End().RoundUp(l.grain)
	if start >= end || isVerityHash(p.def) { // a hash tree that is there does not grow
		return
	}
	next := *p
	next.old = &disk.Partition{Entry: disk.Entry{Extent: p.extent}}
	next.places = nil // its header is in the extent already
	next.needs.min = max(p.needs.min, p.extent.Size)
	next.needs.max = max(p.needs.max, next.needs.min)
	l.share(&area{Extent: disk.Extent{Offset: start, Size: end - start}, before: &next})
	p.extent.Size = next.extent.Size
}
