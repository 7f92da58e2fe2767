package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

func weight(n uint32) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Partition.Weight = n }
}

// slots are two sets of a root, its hash tree and its signature, as image-based systems
// have them, on a disk of 128 GiB with an ESP before and data and swap behind.
func slots(signatureWeight uint32) []definitions.Definition {
	var defs []definitions.Definition
	defs = append(defs, want("esp", weight(0)))
	for _, slot := range []string{"a", "b"} {
		defs = append(defs,
			want("root", sizes(768*disk.MiB, 768*disk.MiB), weight(0), label("root-"+slot)),
			want("root-verity", sizes(32*disk.MiB, 32*disk.MiB), weight(0), label("tree-"+slot)),
			want("root-verity-sig", sizes(2*disk.MiB, 2*disk.MiB), weight(signatureWeight), label("signature-"+slot)))
	}
	return named(append(defs,
		want("var", sizes(2*disk.GiB, 0), weight(3)),
		want("srv", sizes(256*disk.MiB, 0), weight(2)),
		want("swap", sizes(256*disk.MiB, 2*disk.GiB), weight(1), priority(1)))...)
}

// TestSignatures: a signature's partition is 16 KiB, whatever its definition says, in the
// first run and in those after it. The sizes are those of the newest systemd-repart.
func TestSignatures(t *testing.T) {
	snap := blank(128 * disk.GiB)
	p := planned(t, slots(0), snap, options(EmptyAllow))
	want := []disk.Extent{
		{Offset: 1048576, Size: 10485760}, {Offset: 11534336, Size: 805306368}, {Offset: 816840704, Size: 33554432},
		{Offset: 850395136, Size: 16384}, {Offset: 850411520, Size: 805306368}, {Offset: 1655717888, Size: 33554432},
		{Offset: 1689272320, Size: 16384}, {Offset: 1689288704, Size: 80161296384}, {Offset: 81850585088, Size: 53440864256},
		{Offset: 135291449344, Size: 2147483648},
	}
	for i, r := range p.Rows {
		if r.Extent != want[i] {
			t.Errorf("%s: %+v, want %+v", r.Definition, r.Extent, want[i])
		}
	}
	for _, weight := range []uint32{0, 1, 1000, 1000000} {
		p := planned(t, slots(weight), snap, options(EmptyAllow))
		if again := planned(t, slots(weight), After(p, snap), options(EmptyRefuse)); !again.Empty() {
			t.Errorf("weight %d: the second run: %v", weight, sectors(again))
		}
	}
}

// TestSignatureAmongOthers: it counts in the shares by its weight, and one that is there
// keeps its size, with free space behind it and without.
func TestSignatureAmongOthers(t *testing.T) {
	behind := there("linux-generic", 2080, 8)
	for name, c := range map[string]struct {
		sectors int64
		next    []disk.Partition
		weight  uint32
		want    string
	}{
		"of 16 KiB":          {32, nil, 1000, "1 root-x86-64-verity-sig 2048+32 unchanged"},
		"without a share":    {32, nil, 0, "1 root-x86-64-verity-sig 2048+32 unchanged"},
		"enclosed":           {32, []disk.Partition{behind}, 1000, "1 root-x86-64-verity-sig 2048+32 unchanged"},
		"larger":             {4096, nil, 1000, "1 root-x86-64-verity-sig 2048+4096 unchanged"},
		"smaller":            {16, nil, 1000, "1 root-x86-64-verity-sig 2048+32 resize"},
		"smaller, no weight": {16, nil, 0, "1 root-x86-64-verity-sig 2048+16 unchanged"},
		"smaller, enclosed":  {32 - 8, []disk.Partition{there("linux-generic", 2072, 8)}, 1000, "1 root-x86-64-verity-sig 2048+24 unchanged"},
	} {
		snap := gpt(disk.GiB, append([]disk.Partition{there("root-verity-sig", 2048, c.sectors)}, c.next...)...)
		p := planned(t, named(want("root-verity-sig", weight(c.weight))), snap, options(EmptyRefuse))
		if got := sectors(p)[0]; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestSignatureCounts: beside a heavy signature, the shares of others are below what they
// ask for, so that they get just that. (TestOracle compares many such disks.)
func TestSignatureCounts(t *testing.T) {
	for n, layout := range map[uint32]string{0: "2 home 2080+103384 create", 2000: "2 home 2080+81920 create"} {
		if got := sectors(planned(t, named(
			want("root-verity-sig", weight(n)), want("home", sizes(40*disk.MiB, 0)), want("var"),
		), blank(102*disk.MiB), options(EmptyAllow)))[1]; got != layout {
			t.Errorf("weight %d: %s, want %s", n, got, layout)
		}
	}
}

// TestSmallOnesAreKept: a partition that is there and smaller than what a new one would
// be has what its definition wants, where that gives no size.
func TestSmallOnesAreKept(t *testing.T) {
	enclosed := []disk.Partition{there("var", 2048, 2048), there("linux-generic", 4096, 2048)}
	expect(t, planned(t, named(want("var")), gpt(disk.GiB, enclosed...), options(EmptyRefuse)),
		"1 var 2048+2048 unchanged", "2 linux-generic 4096+2048 unchanged")
	expect(t, planned(t, named(want("var", weight(0))), gpt(disk.GiB, enclosed[0]), options(EmptyRefuse)), "1 var 2048+2048 unchanged")
	expect(t, planned(t, named(want("var", weight(0), sizes(4*disk.MiB, 0))), gpt(disk.GiB, enclosed[0]), options(EmptyRefuse)), "1 var 2048+8192 resize")
	// A supplement that is merged into it asks for no size, either.
	supplement := want("xbootldr", func(d *definitions.Definition) { d.Partition.SupplementFor = "10-esp" })
	small := gpt(disk.GiB, there("esp", 2048, 2048), there("linux-generic", 4096, 2048))
	expect(t, planned(t, named(want("esp"), supplement), small, options(EmptyRefuse)),
		"1 esp 2048+2048 unchanged", "2 linux-generic 4096+2048 unchanged", "3 xbootldr 6144+2090968 create")
}

// TestTreesDoNotGrow: a hash tree that is there has the size that it needs.
func TestTreesDoNotGrow(t *testing.T) {
	set := named(want("root", verityRole("data"), sizes(64*disk.MiB, 64*disk.MiB)), want("root-verity", verityRole("hash")))
	data, tree := there("root", 2048, 131072), there("root-verity", 133120, 2048)
	kept := "2 root-x86-64-verity 133120+2048 unchanged"
	if got := sectors(planned(t, set, gpt(disk.GiB, data, tree), options(EmptyRefuse)))[1]; got != kept {
		t.Errorf("of a set: %s", got)
	}
	tree.Content.Kind = verityTree
	for name, d := range map[string]definitions.Definition{"alone": want("root-verity"), "a minimum that it has": want("root-verity", sizes(disk.MiB, 0))} {
		if got := sectors(planned(t, named(d), gpt(disk.GiB, data, tree), options(EmptyRefuse)))[1]; got != kept {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := sectors(planned(t, named(want("root-verity", sizes(2*disk.MiB, 0))), gpt(disk.GiB, data, tree), options(EmptyRefuse)))[1]; got != "2 root-x86-64-verity 133120+4096 resize" {
		t.Errorf("with a minimum above it: %s", got)
	}
}

// TestMoreThanSizeMax: what gets more than its size_max says so, and why.
func TestMoreThanSizeMax(t *testing.T) {
	small := sizes(0, 20*disk.MiB)
	copied := func(d *definitions.Definition) { d.Filesystem.CopyBlocks = "/block" }
	for _, c := range []struct {
		def  definitions.Definition
		size disk.Bytes // 0: not said
		why  string
	}{
		{want("esp", format("vfat"), small), 100 * disk.MiB, "FAT32, which firmware reads, takes that"},
		{want("esp", small), 0, ""},
		{want("home", format("ext4"), small), 32 * disk.MiB, "no ext4 is smaller"},
		{want("home", format("ext4"), encrypted, small), 64 * disk.MiB, "its file system and the header of its encryption take that"},
		{want("home", copied, small), 40 * disk.MiB, "what is copied into it takes that"},
		{want("root-verity-sig", sizes(0, 8*disk.KiB)), 16 * disk.KiB, "the partition of a signature has one size"},
		{want("home", format("ext4"), sizes(0, 100*disk.MiB)), 0, ""},
		{want("home", sizes(0, 20*disk.MiB+1)), 0, ""},
	} {
		o := options(EmptyAllow)
		o.SourceSizes = map[string]disk.Bytes{"/block": 40 * disk.MiB}
		p := planned(t, named(c.def), blank(disk.GiB), o)
		var notes []string
		if c.size > 0 {
			limit := *c.def.Partition.SizeMax
			notes = []string{fmt.Sprintf("gets %s, more than its size_max of %s: %s", c.size, limit, c.why)}
		}
		var got []string
		for _, n := range p.Notes {
			if strings.HasPrefix(n.Text, "gets") {
				got = append(got, n.Text)
			}
		}
		if !slices.Equal(got, notes) || (c.size > 0 && p.Rows[0].Size != c.size) {
			t.Errorf("%s: %s, %q, want %q", p.Rows[0].Definition, p.Rows[0].Size, got, notes)
		}
	}
}
