package planner

import (
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// aBoard is a disk with a boot loader before its root, and 64 MiB behind that.
func aBoard(occupied ...disk.Occupied) disk.Snapshot {
	root := ext4(disk.Partition{Entry: disk.Entry{Number: 1, Type: want("root").Partition.Type.UUID, UUID: testSeed, Extent: disk.Extent{Offset: 32 * disk.MiB, Size: 64 * disk.MiB}}})
	root.Content.Free = 0
	const size = 160 * disk.MiB
	return disk.Snapshot{
		Path: "board", Size: size, SectorSize: 512, Occupied: occupied, Partitions: []disk.Partition{root},
		Table: disk.Table{Kind: disk.GPT, GUID: testSeed, Slots: 128, FirstUsable: 34, LastUsable: plan.LastUsable(size, 512, 128)},
	}
}

var (
	loader = disk.Occupied{
		Extent: disk.Extent{Offset: 34 * 512, Size: 32*disk.MiB - 34*512},
		Found:  disk.Trailing{Offset: 64 * 512, Kind: "a boot loader (Rockchip)"},
	}
	remains = disk.Occupied{
		Extent: disk.Extent{Offset: 96 * disk.MiB, Size: 64*disk.MiB - 33*512},
		Found:  disk.Trailing{Offset: 96 * disk.MiB},
	}
)

// TestOccupiedIsNotFree: what holds something is no place for a partition, no room to grow into
// and none for a header, unless the command gives it up.
func TestOccupiedIsNotFree(t *testing.T) {
	small := want("var", func(d *definitions.Definition) {
		size := 4 * disk.MiB
		d.Partition.SizeMin, d.Partition.SizeMax = &size, &size
	})
	large := want("root", func(d *definitions.Definition) {
		size := 100 * disk.MiB
		d.Partition.SizeMin = &size
	})
	for name, test := range map[string]struct {
		def     definitions.Definition
		held    []disk.Occupied
		discard bool
		want    string // of the error
		at      disk.Bytes
	}{
		"the smallest area":    {def: small, at: 34 * 512},
		"a boot loader":        {def: small, held: []disk.Occupied{loader}, at: 96 * disk.MiB},
		"nothing free":         {def: small, held: []disk.Occupied{loader, remains}, want: "the largest free area has 0 B"},
		"given up":             {def: small, held: []disk.Occupied{loader}, discard: true, at: 34 * 512},
		"growth":               {def: large, held: []disk.Occupied{loader}, at: 32 * disk.MiB},
		"growth over remains":  {def: large, held: []disk.Occupied{remains}, want: "are not free: in them lies data of no known kind at byte 100663296 of the disk (LBA 196608)"},
		"growth, given up":     {def: large, held: []disk.Occupied{remains}, discard: true, at: 32 * disk.MiB},
		"a header":             {def: convertAs("gap"), at: 16 * disk.MiB},
		"a header over loader": {def: convertAs("gap"), held: []disk.Occupied{loader}, want: "in them lies a boot loader (Rockchip) at byte 32768 of the disk (LBA 64)"},
		"growth for a header":  {def: convertAs("grow"), held: []disk.Occupied{remains}, want: "there is no room for the LUKS2 header"},
	} {
		o, snap := options(EmptyRefuse), aBoard(test.held...)
		if test.discard {
			o.Leftovers = plan.LeftoversDiscard
		}
		p, err := Make(named(test.def), snap, host.Facts{}, o)
		if test.want != "" {
			hinted, ok := err.(interface{ Hint() string })
			if err == nil || !strings.Contains(err.Error(), test.want) || !ok || !strings.Contains(hinted.Hint(), "--leftovers=discard gives it up") {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := plan.Check(p, snap); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		at := disk.Bytes(-1)
		for _, r := range p.Rows {
			if r.Activity != plan.ActivityUnchanged {
				at = r.Offset
			}
		}
		if at != test.at.RoundUp(4096) {
			t.Errorf("%s: at %d, want %d", name, at, test.at)
		}
	}
}

// TestOccupiedLaw: no plan, whoever made it, takes space in which something lies.
func TestOccupiedLaw(t *testing.T) {
	snap := aBoard()
	p, err := Make(named(convertAs("gap")), snap, host.Facts{}, options(EmptyRefuse))
	if err != nil {
		t.Fatal(err)
	}
	err = plan.Check(p, aBoard(loader))
	if err == nil || !strings.Contains(err.Error(), "partition 1 would take 33537024 bytes at 17408, where something lies") {
		t.Errorf("%v", err)
	}
	p.Leftovers = plan.LeftoversDiscard
	if err := plan.Check(p, aBoard(loader)); err != nil {
		t.Errorf("given up: %v", err)
	}
}
