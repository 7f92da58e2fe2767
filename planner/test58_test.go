package planner

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// The layouts of systemd's own integration test, TEST-58-REPART, which its newest
// version expects to the sector.

func TestRepartBasic(t *testing.T) {
	p := planned(t, nil, blank(disk.GiB), options(EmptyRequire))
	if p.Table.GUID.String() != "1d2ce291-7cce-4f7d-bc83-fdb49ad74ebd" || p.Table.FirstUsable != 2048 || p.Table.LastUsable != 2097118 {
		t.Errorf("new table %+v", p.Table)
	}
	home := want("home", format("vfat"), func(d *definitions.Definition) { d.Partition.Label = "home-first" })
	swap := want("swap", sizes(0, 64*disk.MiB), padding(92*disk.MiB, 0))
	p = planned(t, named(home, swap), blank(disk.GiB), options(EmptyRequire))
	expect(t, p, "1 home 2048+1775576 create", "2 swap 1777624+131072 create")
	if r := p.Rows[0]; r.Name != "home-first" || r.Attributes != 1<<59 || r.UUID.String() != "4980595d-d74a-483a-aa9e-9903879a0ee5" {
		t.Errorf("home: %+v", r)
	}
	if r := p.Rows[1]; r.Name != "swap" || r.Attributes != 0 || r.UUID.String() != "78c92db8-3d2b-4823-b0dc-792b78f66f1e" || r.Padding != 92*disk.MiB {
		t.Errorf("swap: %+v", r)
	}
}

// TestRepartDeferred: around a partition 4 that is there already.
func TestRepartDeferred(t *testing.T) {
	old := there("swap", 1777624, 131072)
	old.Number = 4
	defs := named(want("home"), want("root"), want("root"), want("swap", sizes(0, 64*disk.MiB), padding(92*disk.MiB, 0)))
	p := planned(t, defs, gpt(disk.GiB, old), options(EmptyRefuse))
	expect(t, p, "1 home 2048+591856 create", "2 root-x86-64 593904+591856 create",
		"3 root-x86-64 1185760+591864 create", "4 swap 1777624+131072 unchanged")
	if p.Rows[2].Name != "root-x86-64-2" || p.Rows[2].UUID.String() != "73a4ccd2-eaf5-44da-a366-f99188210fdc" {
		t.Errorf("second root: %+v", p.Rows[2])
	}
}

// TestRepartGrownDisk: a disk that has become larger is used to its new end.
func TestRepartGrownDisk(t *testing.T) {
	snap := gpt(2*disk.GiB, there("home", 2048, 1906648), there("linux-generic", 1908696, 2285568))
	o := options(EmptyRefuse)
	o.Size, o.SourceSizes = 3*disk.GiB, map[string]disk.Bytes{"/block": 40 * disk.MiB}
	copied := want("linux-generic", func(d *definitions.Definition) {
		d.Partition.Label, d.Partition.UUID, d.Filesystem.CopyBlocks = "block-copy", new(testSeed), "/block"
	})
	p := planned(t, named(want("home"), want("linux-generic"), copied), snap, o)
	expect(t, p, "1 home 2048+1906648 unchanged", "2 linux-generic 1908696+2285568 unchanged", "3 linux-generic 4194264+2097152 create")
	if p.Table.LastUsable != 6291422 || p.Rows[2].UUID != testSeed || p.Rows[2].Name != "block-copy" {
		t.Errorf("%+v %+v", p.Table, p.Rows[2])
	}
}

// TestRepartCopyBlocks: --size=auto is exact, and an image for disks of either
// sector size has an ESP of 260 MiB.
func TestRepartCopyBlocks(t *testing.T) {
	readOnly := func(d *definitions.Definition) { d.Partition.ReadOnly = new(true) }
	defs := named(want("esp", format("vfat"), sizes(10*disk.MiB, 0)), want("root", format("ext4")), want("usr", format("ext4"), readOnly))
	o := options(EmptyCreate)
	o.FilesystemSectorSize = 4096
	size, err := MinimalSize(defs, host.Facts{}, o)
	if err != nil || size != (600064+65536+33)*512 {
		t.Fatalf("minimal size %d, %v", size, err)
	}
	o.Size = size
	p := planned(t, defs, blank(0), o)
	expect(t, p, "1 esp 2048+532480 create", "2 root-x86-64 534528+65536 create", "3 usr-x86-64 600064+65536 create")
	for i, flags := range []uint64{0, 1 << 59, 1 << 60} {
		if p.Rows[i].Attributes != flags {
			t.Errorf("row %d has attributes %x", i, p.Rows[i].Attributes)
		}
	}
}

// TestRepartEncryptedMinimum: 32 MiB to keep free and 32 MiB for an ext4 are more
// than the 48 MiB asked for.
func TestRepartEncryptedMinimum(t *testing.T) {
	defs := named(want("srv", format("ext4"), sizes(48*disk.MiB, 0), encrypted))
	if size, err := MinimalSize(defs, host.Facts{}, options(EmptyCreate)); err != nil || size != (2048+131072+33)*512 {
		t.Errorf("minimal size %d, %v", size, err)
	}
}

// TestRepartIssue24553: a root that cannot grow enough fails, unless its priority
// lets it be left alone.
func TestRepartIssue24553(t *testing.T) {
	there := func(size disk.Bytes) disk.Snapshot {
		return gpt(size, there("esp", 2048, 522280), there("root", 524328, 14848000))
	}
	const esp = "1 esp 2048+522280 unchanged"
	root := want("root", sizes(10*disk.GiB, 120*disk.GiB))
	_, err := Make(named(root), there(8*disk.GiB), host.Facts{}, options(EmptyRefuse))
	var noSpace *NoSpaceError
	if !errors.As(err, &noSpace) || noSpace.Need != 10*disk.GiB ||
		noSpace.Error() != "no space for 10-root-x86-64.toml: partition 2 must have at least 10 GiB with its padding, and what lies behind it lets it have 7.7 GiB" {
		t.Errorf("8 GiB: %v", err)
	}
	expect(t, planned(t, named(root), there(12*disk.GiB), options(EmptyRefuse)), esp, "2 root-x86-64 524328+24641456 resize")

	root.Partition.Priority = 100
	usr := want("usr", sizes(10*disk.MiB, 0), priority(10))
	p := planned(t, named(root, usr), there(8*disk.GiB), options(EmptyRefuse))
	expect(t, p, esp, "2 root-x86-64 524328+14848000 unchanged", "3 usr-x86-64 15372328+1404848 create")
	if p.Rows[1].Definition != "" || len(p.Notes) != 1 {
		t.Errorf("root is not left alone: %+v, %+v", p.Rows[1], p.Notes)
	}
	p = planned(t, named(root, usr), there(12*disk.GiB), options(EmptyRefuse))
	expect(t, p, esp, "2 root-x86-64 524328+20971520 resize", "3 usr-x86-64 21495848+3669936 create")
}

func TestRepartZeroUUID(t *testing.T) {
	null := want("root", sizes(0, 10*disk.MiB), func(d *definitions.Definition) { d.Partition.UUID = &uuid.Nil })
	p := planned(t, named(null), blank(disk.GiB), options(EmptyAllow))
	expect(t, p, "1 root-x86-64 2048+20480 create")
	if p.Rows[0].UUID != uuid.Nil || p.Rows[0].UUIDDerived {
		t.Errorf("%+v", p.Rows[0])
	}
}

func TestRepartDropped(t *testing.T) {
	defs := named(want("linux-generic"), want("linux-generic"),
		want("linux-generic", sizes(disk.TiB, 0), priority(1)), want("linux-generic", sizes(disk.TiB, 0), priority(2)))
	p := planned(t, defs, blank(32*disk.MiB), options(EmptyAllow))
	if len(p.Rows) != 2 || len(p.Notes) != 2 {
		t.Errorf("%v %v", sectors(p), p.Notes)
	}
}

func TestRepartDropIn(t *testing.T) {
	p := planned(t, named(want("swap", sizes(0, 32*disk.MiB))), blank(100*disk.MiB), options(EmptyAllow))
	if r := p.Rows[0]; r.Offset != 1048576 || r.Size != 33554432 || r.Padding != 70234112 {
		t.Errorf("%+v", r)
	}
}

// TestUUIDs: the values that other versions and architectures get from the seed.
func TestUUIDs(t *testing.T) {
	cases := []struct{ typ, first, second string }{
		{"esp", "39107b09-615d-48fb-ba37-c663885fce67", ""},
		{"root-x86-64", "60f33797-1d71-4dcb-aa6f-20564f036cd0", "73a4ccd2-eaf5-44da-a366-f99188210fdc"},
		{"usr-x86-64", "7e3369dd-d653-4513-adf5-b993a9f20c16", ""},
		{"linux-generic", "df71f5e3-080a-4d16-824b-18591b881380", "db081670-07ae-48ca-9f5e-813d5e40b976"},
		{"root-arm64", "055d0227-53a6-4033-85c3-9a5973eff483", "f7dbbe48-8fd0-4833-8411-aa34e7c8e60a"},
		{"usr-arm64", "fce3c75e-d6a4-44c0-87f0-4c105183fb1f", ""},
		{"root-s390x", "7ebe0c85-e27e-48ec-b164-f4807606232e", "2a074e1c-2a19-4094-a0c2-24b1a5d52fcb"},
		{"usr-s390x", "51171d30-35cf-4a49-b8b5-9478b9b796a5", ""},
	}
	for _, c := range cases {
		p := planned(t, named(want(c.typ), want(c.typ)), blank(disk.GiB), options(EmptyAllow))
		if p.Rows[0].UUID.String() != c.first || (c.second != "" && p.Rows[1].UUID.String() != c.second) {
			t.Errorf("%s: %s, %s", c.typ, p.Rows[0].UUID, p.Rows[1].UUID)
		}
	}
}
