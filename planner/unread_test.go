package planner

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
	"pgregory.net/rapid"
)

// TestUnreadFreeSpace: a plan made without a look at free space that takes none of it is the
// plan that is made with one; only padding that is wanted in occupied space may be missed.
func TestUnreadFreeSpace(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		defs, snap, o := drawWorld(t)
		if snap.Table.Kind != disk.GPT {
			return
		}
		read, unread := snap, snap
		unread.FreeUnread = true
		read.Occupied = drawOccupied(t, snap)
		quick, err := Make(defs, unread, host.Facts{}, o)
		if err != nil || quick.TakesFree() {
			return
		}
		if err := plan.Check(quick, unread); err != nil {
			t.Fatal(err)
		}
		full, err := Make(defs, read, host.Facts{}, o)
		if errors.As(err, new(*NoSpaceError)) && slices.ContainsFunc(defs, func(d definitions.Definition) bool { return d.Partition.PaddingMin != nil }) {
			return
		}
		if err != nil {
			t.Fatalf("with free space read: %v", err)
		}
		full.Target, full.Occupied = quick.Target, nil
		for i := range full.Rows {
			full.Rows[i].Padding = quick.Rows[i].Padding
		}
		if compared++; !reflect.DeepEqual(full, quick) {
			t.Fatalf("not the same plan:\n%+v\n%+v", full, quick)
		}
	})
	if compared == 0 {
		t.Error("no plan was compared")
	}
}

// drawOccupied lets something lie in some of the free space of a disk.
func drawOccupied(t *rapid.T, snap disk.Snapshot) (occupied []disk.Occupied) {
	at := snap.Usable().Offset
	partitions := slices.Clone(snap.Partitions)
	slices.SortFunc(partitions, func(a, b disk.Partition) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, end := range append(partitions, disk.Partition{Entry: disk.Entry{Extent: disk.Extent{Offset: snap.Usable().End()}}}) {
		if end.Offset > at && rapid.Bool().Draw(t, "occupied") {
			occupied = append(occupied, disk.Occupied{Extent: disk.Extent{Offset: at, Size: end.Offset - at}, Found: disk.Trailing{Offset: at}})
		}
		at = end.End()
	}
	return occupied
}

// TestUnreadLaw: no plan takes space in which nobody looked.
func TestUnreadLaw(t *testing.T) {
	snap := aBoard()
	snap.FreeUnread = true
	p, err := Make(named(convertAs("gap")), snap, host.Facts{}, options(EmptyRefuse))
	if err != nil {
		t.Fatal(err)
	}
	if !p.TakesFree() {
		t.Error("a header before the partition takes no free space")
	}
	if err := plan.Check(p, snap); err == nil || !strings.Contains(err.Error(), "it takes free space in which nobody looked whether anything lies") {
		t.Errorf("%v", err)
	}
}
