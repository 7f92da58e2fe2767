package planner

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// claim is one partition's wish for a part of an area, or one for free space
// behind it.
type claim struct {
	value    *disk.Bytes // the answer
	min, max disk.Bytes
	weight   uint64
	settled  bool
}

// distribute gives every partition its size and the free space behind it.
func (l *layout) distribute() {
	for _, p := range l.parts {
		p.extent, p.padding = disk.Extent{}, 0
		if p.old != nil {
			p.extent = p.base()
		}
	}
	for _, a := range l.areas {
		l.share(a)
	}
}

// share divides an area between the partition before it and its new ones. What
// rounding and maxima leave goes to the first of them that can take it, the
// partition before the area first of all.
func (l *layout) share(a *area) {
	members := a.new
	if a.before != nil && !a.before.foreign() {
		members = append([]*part{a.before}, members...)
	}
	l.donate(l.settle(a, members), members)
}

// settle gives the members of an area their sizes and paddings, and returns what
// is left. Whose minimum is above its share takes the minimum, whose maximum is
// below takes the maximum, until that changes nothing for the others; they take
// their shares.
func (l *layout) settle(a *area, members []*part) disk.Bytes {
	s := spread{span: a.Size, grain: l.grain}
	if len(members) > 0 && members[0] == a.before {
		s.span += a.Offset - a.before.base().Offset
	}
	// Rounding makes the order count: the last one gets what the others leave.
	s.claims = claims(slices.SortedFunc(slices.Values(members), func(a, b *part) int { return cmp.Compare(a.rank, b.rank) }))
	for _, c := range s.claims {
		s.weights += c.weight
	}
	for s.apply(overcharge) {
	}
	for s.apply(undercharge) {
	}
	s.apply(proportion)
	return s.span
}

// claims lists what the members of an area want: each a size and a padding.
func claims(members []*part) []claim {
	list := make([]claim, 0, 2*len(members))
	for _, p := range members {
		n := p.needs
		list = append(list,
			claim{value: &p.extent.Size, min: n.min, max: n.max, weight: n.weight},
			claim{value: &p.padding, min: n.padMin, max: max(n.padMin, n.padMax), weight: n.padWeight})
	}
	return list
}

// spread is an area while it is divided: what is left of it, and the weights of
// those who have not got theirs.
type spread struct {
	span, grain disk.Bytes
	weights     uint64
	claims      []claim
}

// phase says what a claim gets from its share, and whether it is settled by that.
type phase func(c *claim, share, grain disk.Bytes) (disk.Bytes, bool)

func overcharge(c *claim, share, _ disk.Bytes) (disk.Bytes, bool)  { return c.min, c.min > share }
func undercharge(c *claim, share, _ disk.Bytes) (disk.Bytes, bool) { return c.max, c.max < share }
func proportion(c *claim, share, grain disk.Bytes) (disk.Bytes, bool) {
	return min(max(share.RoundDown(grain), c.min), c.max), true
}

// apply lets the claims that the phase applies to have theirs, one after the
// other, and reports whether there were any.
func (s *spread) apply(rule phase) bool {
	changed := false
	for i := range s.claims {
		c := &s.claims[i]
		if c.settled {
			continue
		}
		value, ok := rule(c, portion(s.span, c.weight, s.weights), s.grain)
		if !ok {
			continue
		}
		*c.value, c.settled, changed = value, true, true
		s.span -= min(s.span, value.RoundUp(s.grain))
		s.weights -= c.weight
	}
	return changed
}

// portion returns the share of span that weight has among weights.
func portion(span disk.Bytes, weight, weights uint64) disk.Bytes {
	if weights == 0 {
		return 0
	}
	// weight is one of the summands of weights, so the quotient is at most span.
	hi, lo := bits.Mul64(uint64(span), weight)
	share, _ := bits.Div64(hi, lo, weights)
	return disk.Bytes(share)
}

// donate gives span to the first members that can take it, but for partitions
// that are there and whose weight of 0 says that they shall not grow. What nobody
// takes stays free behind the last member.
func (l *layout) donate(span disk.Bytes, members []*part) {
	for _, p := range members {
		if p.old != nil && p.needs.weight == 0 {
			continue
		}
		size := min(plus(p.extent.Size, span), p.needs.max).RoundDown(l.grain)
		if size > p.extent.Size {
			span -= min(span, size-p.extent.Size)
			p.extent.Size = size
		}
	}
}
