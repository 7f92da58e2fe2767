package planner

import (
	"cmp"
	"fmt"
	"slices"
)

// number gives every new partition a slot: the lowest unused one, areas in the
// order they were filled in.
//
// Partitions are matched by number, so of several of one type the later
// definition must have the higher number: otherwise the next run would match
// them the other way round. Where the lowest slot would break that, a higher one
// is taken. For the same reason a factory reset gives back the number that was
// there: a foreign partition of the type may have a higher one.
func (l *layout) number() error {
	used := make(map[int]bool, l.table.Slots)
	highest := make(map[[16]byte]int) // by type: the highest number in use by a definition
	for _, p := range l.parts {
		switch {
		case p.old != nil:
			p.number = p.old.Number
		case p.created() && p.former != 0:
			p.number = p.former
		default:
			continue
		}
		used[p.number] = true
		if p.def != nil {
			highest[p.typeUUID()] = max(highest[p.typeUUID()], p.number)
		}
	}
	lowest := 1
	for _, p := range l.numberingOrder() {
		typ := p.def.Partition.Type.UUID
		for used[lowest] {
			lowest++
		}
		slot := max(lowest, highest[typ]+1)
		for used[slot] {
			slot++
		}
		if slot > l.table.Slots {
			return fmt.Errorf("%s.toml: no slot for it in a partition table of %d", p.def.Name, l.table.Slots)
		}
		p.number, used[slot], highest[typ] = slot, true, slot
	}
	return nil
}

// numberingOrder lists the partitions without a number as their areas were filled, but those
// of one type, in the places they have in that list, by definition.
func (l *layout) numberingOrder() []*part {
	var order []*part
	for _, a := range l.areas {
		for _, p := range a.new {
			if p.former == 0 {
				order = append(order, p)
			}
		}
	}
	byType := make(map[[16]byte][]*part)
	for _, p := range order {
		t := p.def.Partition.Type.UUID
		byType[t] = append(byType[t], p)
	}
	for _, same := range byType { // each type is by itself, whatever the order
		slices.SortFunc(same, func(a, b *part) int { return cmp.Compare(a.rank, b.rank) })
	}
	for i, p := range order {
		t := p.def.Partition.Type.UUID
		order[i], byType[t] = byType[t][0], byType[t][1:]
	}
	return order
}
