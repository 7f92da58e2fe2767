package planner

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// Which definition a partition belongs to must not change from run to run: where one of
// two definitions of a type got no partition, the other's would be given to it by the
// order alone. So partitions first go to whom they tell they were made for, by their
// UUIDs and names, and only the others are given out in turn.

// owners gives partitions to definitions, each at most one.
type owners struct {
	l        *layout
	defs     []definitions.Definition
	present  []disk.Partition  // by number
	takes    []*disk.Partition // what each definition has
	owned    map[int]bool      // partitions that are given out, by number
	expected []uuid.UUID       // what a new partition of each definition would get
	labels   map[string]int    // explicit labels, with how many definitions have each
}

// owners returns which partition each definition takes, nil for none.
func (l *layout) owners(defs []definitions.Definition) []*disk.Partition {
	o := &owners{
		l: l, defs: defs, present: slices.Clone(l.snap.Partitions), takes: make([]*disk.Partition, len(defs)),
		owned: make(map[int]bool), expected: l.expectedUUIDs(defs), labels: make(map[string]int),
	}
	slices.SortFunc(o.present, func(a, b disk.Partition) int { return cmp.Compare(a.Number, b.Number) })
	for i := range defs {
		o.labels[defs[i].Partition.Label]++
	}
	o.each(o.hasUUID)
	o.each(o.hasLabel)
	o.byDefaultNames()
	o.each(func(int, *disk.Partition) bool { return true })
	return o.takes
}

// each gives every definition without a partition the first that fits it and is its own
// by a sign.
func (o *owners) each(sign func(def int, p *disk.Partition) bool) {
	for i := range o.defs {
		o.give(i, func(p *disk.Partition) bool { return sign(i, p) })
	}
}

// give gives a definition without a partition the first that is left, fits it and
// is acceptable.
func (o *owners) give(i int, acceptable func(*disk.Partition) bool) {
	for k := range o.present {
		p := &o.present[k]
		if o.takes[i] == nil && !o.owned[p.Number] && acceptable(p) && o.l.matches(&o.defs[i], p) {
			o.takes[i], o.owned[p.Number] = p, true
		}
	}
}

// hasUUID reports whether p has the UUID that a partition made for the definition has,
// and not the label of another: definitions may have been added in front of it since.
func (o *owners) hasUUID(i int, p *disk.Partition) bool {
	foreignLabel := o.labels[p.Name] > 0 && p.Name != "" && p.Name != o.defs[i].Partition.Label
	given := o.defs[i].Partition.UUID != nil
	return p.UUID != uuid.Nil && p.UUID == o.expected[i] && (given || !foreignLabel)
}

// hasLabel reports whether p has the label that the definition gives.
func (o *owners) hasLabel(i int, p *disk.Partition) bool {
	return p.Name != "" && p.Name == o.defs[i].Partition.Label
}

// byDefaultNames follows assignNames: the names it gives depend on those of the
// definitions before. A partition with such a name goes to the definition that would
// give it this one, others in turn.
func (o *owners) byDefaultNames() {
	taken := make(map[string]bool, len(o.defs))
	for i := range o.defs {
		d := &o.defs[i]
		name := d.Partition.Label
		if name == "" {
			name = unusedName(defaultName(d), taken)
		}
		o.give(i, func(p *disk.Partition) bool { return p.Name == name || !o.looksDefault(p) })
		if p := o.takes[i]; p != nil && p.Name != "" {
			name = p.Name
		}
		taken[name] = true
	}
}

// looksDefault reports whether a definition that p fits could have given it its name
// without having a label.
func (o *owners) looksDefault(p *disk.Partition) bool {
	return slices.ContainsFunc(o.defs, func(d definitions.Definition) bool {
		rest, ok := strings.CutPrefix(p.Name, defaultName(&d))
		if !ok || !o.l.matches(&d, p) {
			return false
		}
		n, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
		return rest == "" || err == nil && rest == "-"+strconv.Itoa(n)
	})
}

// expectedUUIDs returns the UUIDs of the partitions of definitions, as assignUUIDs
// gives them where none is in use yet.
func (l *layout) expectedUUIDs(defs []definitions.Definition) []uuid.UUID {
	seen := make(map[uuid.UUID]uint64, len(defs))
	ids := make([]uuid.UUID, len(defs))
	for i := range defs {
		d := defs[i].Partition
		ids[i] = derive(l.opts.Seed, uuidMessage(d.Type.UUID, seen[d.Type.UUID]))
		if d.UUID != nil {
			ids[i] = *d.UUID
		}
		seen[d.Type.UUID]++
	}
	return ids
}
