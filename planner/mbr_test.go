package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// pi is a disk with an MBR as a Raspberry Pi's: a FAT to boot from, and a root.
func pi(more ...disk.Partition) disk.Snapshot {
	boot, root := there("esp", 8192, 102400), ext4(there("root", 110592, 204800))
	boot.Content = disk.Content{Kind: "vfat", Label: "bootfs", Size: boot.Size, BlockSize: 512}
	s := gpt(disk.GiB, append([]disk.Partition{boot, root}, more...)...)
	s.Table = disk.Table{Kind: disk.MBR}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		p.Type, p.UUID, p.Name, p.Attributes = uuid.Nil, uuid.Nil, "", 0x83
	}
	s.Partitions[0].Attributes = 0x10c
	return s
}

func matching(edit func(*definitions.Match), d definitions.Definition) definitions.Definition {
	edit(&d.Partition.Match)
	return d
}

func byFilesystem(m *definitions.Match) { m.Filesystem = "ext4" }
func byLabel(m *definitions.Match)      { m.Label = "otaroot" }

// TestMBR: partitions of an MBR are converted where they are, and the table stays.
func TestMBR(t *testing.T) {
	id := uuid.MustParse(pi().Partitions[1].Content.UUID)
	for name, defs := range map[string][]definitions.Definition{
		"shrink":    named(matching(byFilesystem, convertAs("gap", "grow", "shrink"))),
		"detached":  named(matching(byFilesystem, convertAs("detached:"+headerPath))),
		"by label":  named(matching(byLabel, convertAs("shrink"))),
		"by uuid":   named(matching(func(m *definitions.Match) { m.UUID = &id }, convertAs("shrink"))),
		"beside it": named(matching(func(m *definitions.Match) { m.Label = "bootfs" }, want("esp")), matching(byFilesystem, convertAs("shrink"))),
	} {
		for _, empty := range []Empty{"", EmptyRefuse, EmptyAllow} {
			p, snap := planned(t, defs, pi(), options(empty)), pi()
			if len(p.Actions) != 1 || p.Table != snap.Table || p.NewTable {
				t.Errorf("%s: %+v", name, p)
			}
			for i, r := range p.Rows {
				if r.Entry != snap.Partitions[i].Entry {
					t.Errorf("%s: partition %d would change", name, r.Number)
				}
			}
			rest(t, defs, p, snap, options(EmptyRefuse))
		}
	}
}

// TestMBRVolumes: volumes on an MBR are rekeyed and enrolled.
func TestMBRVolumes(t *testing.T) {
	snap := pi()
	snap.Partitions[1] = luks(snap.Partitions[1], 1)
	for _, existing := range []string{definitions.ExistingRekey, definitions.ExistingEnroll} {
		defs := named(matching(byFilesystem, volumeAs(existing, vendorKey, tpmKey)))
		p := planned(t, defs, snap, options(EmptyRefuse))
		if len(p.Actions) != 1 || p.Actions[0].Partition() != 2 {
			t.Errorf("%s: %+v", existing, p.Actions)
		}
		rest(t, defs, p, snap, options(EmptyRefuse))
	}
}

// TestMBRRefusals: an MBR tells little, so what is not sure is refused.
func TestMBRRefusals(t *testing.T) {
	root := matching(byFilesystem, convertAs("shrink"))
	relabelled := matching(byLabel, convertAs("shrink"))
	relabelled.Encryption.Label = "crypt"
	second := ext4(there("root", 315392, 204800))
	rootID := uuid.MustParse(pi().Partitions[1].Content.UUID)
	// Its own UUID is there twice, so that the volume gets another; that of the twin is in
	// a FAT, which no definition of a root takes.
	twin := there("esp", 315392, 2048)
	twin.Content = disk.Content{Kind: "vfat", UUID: rootID.String()}
	twins := pi(twin)
	twins.Partitions[2].Attributes = 0xc
	cases := map[string]struct {
		defs []definitions.Definition
		snap disk.Snapshot
		want string
	}{
		"new partition": {named(root, want("home")), pi(), "no partition of the MBR matches it"},
		"two fit":       {named(root), pi(second), "partition 3 fits the definition too"},
		"no room":       {named(matching(byFilesystem, convertAs("gap", "grow"))), pi(), "there is no room for the LUKS2 header"},
		"other label":   {named(relabelled), pi(), "would not match it any more"},
		"other UUID":    {named(matching(func(m *definitions.Match) { m.UUID = &rootID }, convertAs("shrink"))), twins, "would not match it any more"},
		"overlap":       {named(root), pi(there("srv", 8192, 8)), "overlap"},
	}
	for name, c := range cases {
		p, err := Make(c.defs, c.snap, host.Facts{}, options(EmptyRefuse))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v %+v", name, err, p)
		}
	}
	for name, d := range map[string]definitions.Definition{
		"no match": convertAs("shrink"), "another kind": matching(byFilesystem, want("swap")),
		"a verity tree": matching(byFilesystem, want("root-verity")),
		"another label": matching(func(m *definitions.Match) { m.Label = "nosuch" }, convertAs("shrink")),
		"another UUID":  matching(func(m *definitions.Match) { m.UUID = &testSeed }, convertAs("shrink")),
		"one of two":    matching(func(m *definitions.Match) { m.Label, m.Filesystem = "otaroot", "xfs" }, convertAs("shrink")),
	} {
		if _, err := Make(named(d), pi(), host.Facts{}, options(EmptyRefuse)); !errors.Is(err, ErrLabelRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMBRModes: of the modes for empty disks only those work in an MBR that keep what is there.
func TestMBRModes(t *testing.T) {
	defs := named(matching(byFilesystem, convertAs("shrink")))
	if _, err := Make(defs, pi(), host.Facts{}, options(EmptyRequire)); !errors.Is(err, ErrLabelRefused) {
		t.Errorf("--empty=require: %v", err)
	}
	for _, empty := range []Empty{EmptyForce, EmptyCreate} {
		if p := planned(t, defs, pi(), options(empty)); !p.NewTable || p.Table.Kind != disk.GPT {
			t.Errorf("--empty=%s: %+v", empty, p.Table)
		}
	}
	// A root whose conversion is refused is refused for its own reason.
	damaged := pi()
	damaged.Partitions[1].Content.Problem = "bad checksum"
	if _, err := Make(defs, damaged, host.Facts{}, options(EmptyRefuse)); err == nil || !strings.HasSuffix(err.Error(), "partition 2: its ext4 is damaged: bad checksum") {
		t.Errorf("a damaged root: %v", err)
	}
}
