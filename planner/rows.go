package planner

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// rows lists every partition before or after, in disk order.
func (l *layout) rows() []plan.Row {
	rows := make([]plan.Row, 0, len(l.parts)+len(l.deleted))
	for _, p := range l.parts {
		if !p.absent() {
			rows = append(rows, p.row())
		}
	}
	for _, d := range l.deleted {
		rows = append(rows, d.row())
	}
	slices.SortFunc(rows, compareRows)
	fillPadding(rows, l.usable.End(), l.grain, func(r *plan.Row) (disk.Extent, *disk.Bytes, bool) {
		return r.Extent, &r.Padding, r.Activity != plan.ActivityDelete
	})
	end := plan.UsableExtent(l.snap.Table, l.snap.SectorSize, l.grain).End()
	fillPadding(rows, end, l.grain, func(r *plan.Row) (disk.Extent, *disk.Bytes, bool) {
		if r.Old == nil {
			return disk.Extent{}, nil, false
		}
		return r.Old.Extent, &r.OldPadding, true
	})
	return rows
}

// compareRows orders by place; what goes comes before what takes its place.
func compareRows(a, b plan.Row) int {
	gone := func(r plan.Row) int {
		if r.Activity == plan.ActivityDelete {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(gone(a), gone(b)), cmp.Compare(a.Number, b.Number))
}

// fillPadding sets the free space behind each of the rows that pick selects. A
// partition only ever moves its start into free space, so rows are in order before
// and after.
func fillPadding(rows []plan.Row, end, grain disk.Bytes, pick func(*plan.Row) (disk.Extent, *disk.Bytes, bool)) {
	for i := len(rows) - 1; i >= 0; i-- {
		extent, padding, ok := pick(&rows[i])
		if !ok {
			continue
		}
		*padding = max(0, end.RoundDown(grain)-extent.End().RoundUp(grain))
		end = extent.Offset
	}
}

// row describes p before and after.
func (p *part) row() plan.Row {
	r := plan.Row{Entry: disk.Entry{
		Number: p.number, Type: p.typeUUID(), UUID: p.uuid, Name: p.name, Attributes: p.attrs, Extent: p.extent,
	}}
	if p.rootUUID {
		r.UUID, r.UUIDDerived = uuid.Nil, true
	}
	switch {
	case p.old == nil:
		r.Activity = plan.ActivityCreate
	case p.old.Extent == p.extent:
		r.Activity = plan.ActivityUnchanged
	default:
		r.Activity = plan.ActivityResize
	}
	if p.old != nil {
		old := p.old.Entry
		r.Old, r.Content = &old, p.old.Content
	}
	if !p.foreign() {
		r.Definition, r.File, r.DropIns = p.def.Name, p.def.File, p.def.DropIns
	}
	return r
}

// row describes a partition that goes.
func (d deletion) row() plan.Row {
	old := d.Entry
	r := plan.Row{Entry: old, Old: &old, Content: d.Content, Activity: plan.ActivityDelete}
	if d.def != nil {
		r.Definition, r.File, r.DropIns = d.def.Name, d.def.File, d.def.DropIns
	}
	return r
}
