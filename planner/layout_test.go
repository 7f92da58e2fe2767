package planner

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner/plan"
)

func verityRole(role string) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Verity = &definitions.Verity{Role: role, MatchKey: "root"} }
}

// TestCreateEncrypted: what the executor is told about a new encrypted partition.
func TestCreateEncrypted(t *testing.T) {
	o := options(EmptyAllow)
	o.Discard = true
	p := planned(t, named(want("home", encrypted)), blank(disk.GiB), o)
	c := p.Actions[0].(plan.Create)
	if c.Filesystem == nil || c.Filesystem.Format != "ext4" || c.Filesystem.Label != "home" {
		t.Errorf("file system %+v", c.Filesystem)
	}
	e := c.Encryption
	if e == nil || e.Cipher != "aes-xts-plain64" || e.KeyBits != 512 || e.SectorSize != 4096 || e.DataOffset != 16*disk.MiB || e.Label != "luks-home" || !e.Discards || len(e.Keys) != 1 {
		t.Fatalf("encryption %+v", e)
	}
	ids := map[uuid.UUID]bool{p.Rows[0].UUID: true, c.Filesystem.UUID: true, e.UUID: true}
	if len(ids) != 3 || ids[uuid.Nil] {
		t.Errorf("UUIDs are not three: %v", ids)
	}
	if !strings.Contains(c.Why, "10-home.toml") {
		t.Errorf("reason %q", c.Why)
	}
	for typ, sector := range map[string]disk.Bytes{"esp": 512, "srv": 4096} {
		p := planned(t, named(want(typ, encrypted)), blank(disk.GiB), o)
		if got := p.Actions[0].(plan.Create).Encryption.SectorSize; got != sector {
			t.Errorf("%s: encryption sectors of %d", typ, got)
		}
	}
}

func TestDefaultFormats(t *testing.T) {
	populated := func(d *definitions.Definition) {
		d.Filesystem.CopyFiles = []definitions.CopyFile{{Source: "/a", Target: "/"}}
	}
	cases := []struct {
		d    definitions.Definition
		want string
	}{
		{want("home"), ""}, {want("home", populated), "ext4"}, {want("esp", populated), "vfat"}, {want("xbootldr", populated), "vfat"},
		{want("swap"), "swap"}, {want("root", encrypted), "ext4"}, {want("swap", encrypted), "swap"}, {want("root", format("empty")), ""},
		{want("root", encrypted, func(d *definitions.Definition) { d.Filesystem.CopyBlocks = "/b" }), ""},
	}
	for _, c := range cases {
		if got := formatOf(&c.d); got != c.want {
			t.Errorf("%+v: %q, want %q", c.d.Filesystem, got, c.want)
		}
	}
	p := planned(t, named(want("root", format("empty"))), blank(disk.GiB), options(EmptyAllow))
	if p.Rows[0].Name != "_empty" || p.Rows[0].Attributes != disk.AttributeNoAuto|disk.AttributeGrowFileSystem {
		t.Errorf("%+v", p.Rows[0])
	}
}

// TestVeritySet: the hash partition is as large as the tree over what the data
// partition turns out to be, and both UUIDs are left open.
func TestVeritySet(t *testing.T) {
	defs := named(want("root", format("ext4"), verityRole("data")), want("root-verity", verityRole("hash"), sizes(0, 64*disk.MiB), func(d *definitions.Definition) { d.Partition.Weight = 0 }))
	p := planned(t, defs, blank(4*disk.GiB), options(EmptyAllow))
	v, ok := p.Actions[len(p.Actions)-1].(plan.Verity)
	if !ok || v.Data != 1 || v.Hash != 2 || v.DataBlockSize != 4096 || v.UUID != derive(testSeed, []byte("verity-uuid")) {
		t.Fatalf("%+v", p.Actions)
	}
	if salt, err := hex.DecodeString(v.Salt); err != nil || len(salt) != 32 {
		t.Errorf("salt %q", v.Salt)
	}
	if need := plan.TreeSize(v.DataExtent.Size, 4096, 4096); v.HashExtent.Size < need || v.HashExtent.Size > need+disk.MiB {
		t.Errorf("hash partition of %d, the tree takes %d", v.HashExtent.Size, need)
	}
	for _, r := range p.Rows {
		if !r.UUIDDerived || r.UUID != uuid.Nil || r.Attributes&disk.AttributeReadOnly == 0 {
			t.Errorf("%+v", r)
		}
	}
	after := After(p, blank(4*disk.GiB))
	if again := planned(t, defs, after, options(EmptyRefuse)); !again.Empty() {
		t.Errorf("second run: %v", again.Actions)
	}
	after.Partitions = after.Partitions[1:] // only the hash partition
	if _, err := Make(defs, after, host.Facts{}, options(EmptyRefuse)); err == nil || !strings.Contains(err.Error(), "20-root-x86-64-verity.toml: partition 2 holds a hash tree, which does not fit the new partition of 10-root-x86-64.toml") {
		t.Errorf("a new data partition under an old hash tree: %v", err)
	}
	if _, err := Make(named(want("root", verityRole("data"))), blank(disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || !strings.Contains(err.Error(), "a verity set is one data and one hash partition, but match_key \"root\" has 0 others") {
		t.Errorf("a verity set of one: %v", err)
	}
	small := named(want("root", verityRole("data"), sizes(disk.GiB, 0)), want("root-verity", verityRole("hash"), sizes(0, disk.MiB)))
	if _, err := Make(small, blank(4*disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || !strings.Contains(err.Error(), "size_max") {
		t.Errorf("a hash partition that may not be large enough: %v", err)
	}
}

// TestTreeSize lets veritysetup make the hash devices.
func TestTreeSize(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	veritysetup := testenv.Need(t, "veritysetup")
	for _, c := range []struct{ blocks, data, hash disk.Bytes }{
		{1, 4096, 4096}, {2, 4096, 4096}, {128, 4096, 4096}, {129, 4096, 4096}, {16384, 4096, 4096}, {16385, 4096, 4096},
		{1000, 512, 1024}, {1000, 4096, 1024}, {1000, 1024, 512},
	} {
		data, hash := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "hash")
		if err := os.WriteFile(data, make([]byte, c.blocks*c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(veritysetup, "format", fmt.Sprint("--data-block-size=", int64(c.data)), fmt.Sprint("--hash-block-size=", int64(c.hash)), data, hash).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		info, err := os.Stat(hash)
		if err != nil {
			t.Fatal(err)
		}
		// A tree of no block leaves a superblock, which veritysetup does not pad.
		if want := disk.Bytes(info.Size()).RoundUp(c.hash); plan.TreeSize(c.blocks*c.data, c.data, c.hash) != want {
			t.Errorf("%+v: %d, veritysetup makes %d", c, plan.TreeSize(c.blocks*c.data, c.data, c.hash), info.Size())
		}
	}
}

// TestSupplement: an XBOOTLDR partition appears only where the ESP that is there
// is too small.
func TestSupplement(t *testing.T) {
	supplement := want("xbootldr", sizes(512*disk.MiB, disk.GiB), func(d *definitions.Definition) { d.Partition.SupplementFor = "10-esp" })
	defs := named(want("esp", sizes(128*disk.MiB, disk.GiB)), supplement)
	p := planned(t, defs, blank(8*disk.GiB), options(EmptyAllow))
	expect(t, p, "1 esp 2048+2097152 create")

	snap := gpt(8*disk.GiB, there("esp", 2048, 262144), there("root", 264192, 204800))
	p = planned(t, defs, snap, options(EmptyRefuse))
	expect(t, p, "1 esp 2048+262144 unchanged", "2 root-x86-64 264192+204800 unchanged", "3 xbootldr 468992+2097152 create")
	if again := planned(t, defs, After(p, snap), options(EmptyRefuse)); !again.Empty() {
		t.Errorf("second run: %v", sectors(again))
	}
	for want, bad := range map[string][]definitions.Definition{
		`10-xbootldr.toml: supplement_for names "10-esp", and there is no such definition`:                             named(supplement),
		`10-esp.toml: supplement_for "10-esp" is a supplement itself`:                                                  named(want("esp", func(d *definitions.Definition) { d.Partition.SupplementFor = "10-esp" })),
		"20-xbootldr.toml: a supplement and its target have no copy_blocks, encryption or verity, but 10-esp.toml has": named(want("esp", encrypted), supplement),
		"20-xbootldr.toml: no size fits both it and 10-esp.toml":                                                       named(want("esp", sizes(0, 128*disk.MiB)), supplement),
		"30-xbootldr.toml: 10-esp.toml has another supplement already":                                                 named(want("esp"), supplement, supplement),
	} {
		if _, err := Make(bad, blank(8*disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}

func TestFactoryReset(t *testing.T) {
	reset := func(d *definitions.Definition) { d.Partition.FactoryReset = true }
	snap := gpt(disk.GiB, there("root", 2048, 204800), there("var", 206848, 204800), there("home", 411648, 204800))
	defs := named(want("root"), want("var", reset), want("home"))
	o := options(EmptyRefuse)
	if p := planned(t, defs, snap, o); p.Rows[1].Activity != plan.ActivityUnchanged {
		t.Errorf("without being asked: %v", sectors(p))
	}
	o.FactoryReset = true
	p := planned(t, defs, snap, o)
	if p.Rows[1].Activity != plan.ActivityDelete || p.Rows[1].Entry != snap.Partitions[1].Entry {
		t.Errorf("%v", sectors(p))
	}
	made := p.Actions[0].(plan.Create)
	if made.Number != 2 || !strings.Contains(made.Why, "factory reset") {
		t.Errorf("%+v", made)
	}
}

// TestMatch: A/B sets are told apart by label.
func TestMatch(t *testing.T) {
	slot := func(label string) func(*definitions.Definition) {
		return func(d *definitions.Definition) { d.Partition.Label, d.Partition.Match.Label = label, label }
	}
	b := there("root", 2048, 204800)
	b.Name = "root-b"
	snap := gpt(disk.GiB, b)
	defs := named(want("root", slot("root-a")), want("root", slot("root-b"), sizes(0, 100*disk.MiB)))
	p := planned(t, defs, snap, options(EmptyRefuse))
	if p.Rows[0].Definition != "20-root-x86-64" || p.Rows[1].Name != "root-a" || p.Rows[1].Number != 2 {
		t.Errorf("%+v", p.Rows)
	}
	if again := planned(t, defs, After(p, snap), options(EmptyRefuse)); !again.Empty() {
		t.Errorf("second run: %v", sectors(again))
	}
	endless := want("root", func(d *definitions.Definition) { d.Partition.Match.Label = "other" })
	if _, err := Make(named(endless), blank(disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || !strings.Contains(err.Error(), "10-root-x86-64.toml would not match the partition it makes: match.label is \"other\", the label \"root-x86-64\"") {
		t.Errorf("a definition that would make a partition in every run: %v", err)
	}
}

// TestHeaderRoom: a partition that is converted grows as far as its header needs,
// or its file system shrinks, as the definition prefers and the disk allows.
func TestHeaderRoom(t *testing.T) {
	convert := func(rooms ...string) []definitions.Definition {
		return named(want("root", func(d *definitions.Definition) {
			encrypted(d)
			d.Encryption.Existing, d.Encryption.HeaderRoom = definitions.ExistingConvert, rooms
			d.Partition.Weight = 0
		}))
	}
	root := there("root", 2048, 204800)
	root.Content = disk.Content{Kind: "ext4", Size: root.Size, BlockSize: 4096, Free: root.Size / 2}
	alone := gpt(disk.GiB, root)
	walled := gpt(disk.GiB, root, there("home", 206848, 204800))
	full := walled
	full.Partitions = append([]disk.Partition{}, walled.Partitions...)
	full.Partitions[0].Content.Free = 4096
	roomy := gpt(disk.GiB, root)
	roomy.Partitions = append([]disk.Partition{}, root)
	roomy.Partitions[0].Number, roomy.Partitions[0].Content.Size = 1, root.Size-2*Shift
	cases := []struct {
		name   string
		rooms  []string
		snap   disk.Snapshot
		size   int64 // in sectors, 0 for a refusal
		shrink bool
	}{
		{"grow", []string{"grow", "shrink"}, alone, 204800 + 65536, false},
		{"shrink first", []string{"shrink", "grow"}, alone, 204800, true},
		{"cannot grow", []string{"grow", "shrink"}, walled, 204800, true},
		{"must grow", []string{"grow"}, walled, 0, false},
		{"neither", []string{"grow", "shrink"}, full, 0, false},
		{"room enough", []string{"grow", "shrink"}, roomy, 204800, false},
	}
	for _, c := range cases {
		p, err := Make(convert(c.rooms...), c.snap, host.Facts{}, options(EmptyRefuse))
		if c.size == 0 {
			if err == nil || !strings.Contains(err.Error(), "there is no room for the LUKS2 header: ") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := plan.Check(p, c.snap); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		r, ok := p.Actions[len(p.Actions)-1].(plan.Reencrypt)
		if !ok || int64(r.Extent.Size/512) != c.size || (r.ShrinkTo > 0) != c.shrink {
			t.Errorf("%s: %+v", c.name, p.Actions)
		}
	}
}

// TestNotConvertible: content that would be lost, or locked away from every kernel,
// is refused, and the partition stays as it is.
func TestNotConvertible(t *testing.T) {
	good := disk.Content{Kind: "ext4", Size: 64 * disk.MiB, BlockSize: 4096}
	cases := []struct {
		name    string
		sectors int64
		edit    func(*disk.Content)
		sector  disk.Bytes
		want    string // in the error, "" for none
	}{
		{"whole", 409600, func(*disk.Content) {}, 4096, ""},
		{"odd, but in small sectors", 409601, func(*disk.Content) {}, 512, ""},
		{"a superblock that may count too few blocks", 409600, func(c *disk.Content) { c.Problem = "superblock checksum is wrong" }, 0, "checksum"},
		{"half a sector at the end", 409601, func(*disk.Content) {}, 4096, "not whole encryption sectors"},
		{"blocks smaller than a sector", 409600, func(c *disk.Content) { c.BlockSize = 1024 }, 4096, "could not be mounted"},
	}
	for _, c := range cases {
		root := there("root", 2048, c.sectors)
		root.Content = good
		c.edit(&root.Content)
		d := want("root", encrypted, sizes(0, root.Size))
		d.Encryption.Existing, d.Encryption.SectorSize, d.Partition.Weight = definitions.ExistingConvert, c.sector, 0
		p, err := Make(named(d), gpt(disk.GiB, root), host.Facts{}, options(EmptyRefuse))
		var refusal *Refusal
		switch {
		case c.want == "":
			if err != nil || p.Actions[len(p.Actions)-1].Kind() != "reencrypt" {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.want) || refusal.Remedy == "":
			t.Errorf("%s: %v, want a refusal that says %q and what to do", c.name, err, c.want)
		}
	}
}

// TestRewrites: all that a plan writes to is held against what is in use. With a
// new table that is the whole disk: what is on it besides the rows, be it an MBR's
// partitions or a file system without any table, may be mounted.
func TestRewrites(t *testing.T) {
	for _, kind := range []disk.TableKind{disk.MBR, disk.Bare} {
		old := blank(disk.GiB)
		old.Table.Kind = kind
		p := planned(t, named(want("root")), old, options(EmptyForce))
		if got := p.Rewrites(); len(got) != 1 || got[0] != (disk.Extent{Size: disk.GiB}) {
			t.Errorf("%s replaced: %v, want the whole disk", kind, got)
		}
	}
	p := planned(t, named(want("home")), gpt(disk.GiB, there("root", 2048, 2048)), options(EmptyRefuse))
	made := p.Actions[0].(plan.Create).Extent
	if got := p.Rewrites(); len(got) != 1 || got[0] != made {
		t.Errorf("a new partition beside another: %v, want %v", got, made)
	}
}

// TestConversionKeepsItsSize: what a conversion has moved is found from the end of
// the partition.
func TestConversionKeepsItsSize(t *testing.T) {
	root := there("root", 2048, 204800)
	root.Content = disk.Content{Kind: cryptoLUKS, LUKS: &disk.LUKS{DataOffset: Shift, SectorSize: 4096, Reencryption: &disk.Reencryption{
		Mode: "encrypt", Direction: "backward", Resilience: "datashift", State: disk.ReencryptClean, Total: 64 * disk.MiB,
	}}}
	d := want("root", encrypted, sizes(500*disk.MiB, 0))
	d.Encryption.Existing = definitions.ExistingConvert
	p := planned(t, named(d), gpt(disk.GiB, root), options(EmptyRefuse))
	if r, ok := p.Actions[0].(plan.Reencrypt); !ok || !r.Resume || p.Rows[0].Activity != plan.ActivityUnchanged {
		t.Errorf("%v %+v", sectors(p), p.Actions)
	}
}

// TestDamagedTables are refused whole: guessing at them loses data.
func TestDamagedTables(t *testing.T) {
	const outside, unfit = "partition 2 of /dev/test lies outside the disk: offset ", "the partition table of /dev/test does not fit a disk of 1 GiB"
	cases := []struct {
		name   string
		damage func(*disk.Snapshot)
		want   string
	}{
		{"overlap", func(s *disk.Snapshot) { s.Partitions[1].Offset = s.Partitions[0].Offset }, "partitions 1 and 2 of /dev/test overlap"},
		{"behind disk", func(s *disk.Snapshot) { s.Partitions[1].Size = disk.TiB }, outside + "2097152, size 1099511627776"},
		{"a sector behind disk", func(s *disk.Snapshot) { s.Partitions[1].Size = disk.GiB - 2097152 + 512 }, outside + "2097152, size 1071645184"},
		{"before disk", func(s *disk.Snapshot) { s.Partitions[1].Offset = -512 }, outside + "-512, size 1048576"},
		{"overflow", func(s *disk.Snapshot) { s.Partitions[1].Offset = unlimited - 511 }, outside + "9223372036854775296, size 1048576"},
		{"negative", func(s *disk.Snapshot) { s.Partitions[1].Size = -512 }, outside + "2097152, size -512"},
		{"of nothing", func(s *disk.Snapshot) { s.Partitions[1].Size = 0 }, outside + "2097152, size 0"},
		{"end unaligned", func(s *disk.Snapshot) { s.Partitions[1].Size++ }, outside + "2097152, size 1048577"},
		{"start unaligned", func(s *disk.Snapshot) { s.Partitions[1].Offset++ }, outside + "2097153, size 1048576"},
		{"number twice", func(s *disk.Snapshot) { s.Partitions[1].Number = 1 }, "partition number 1 of /dev/test is out of range or stands twice"},
		{"number 0", func(s *disk.Snapshot) { s.Partitions[1].Number = 0 }, "partition number 0 of /dev/test is out of range or stands twice"},
		{"number beyond the slots", func(s *disk.Snapshot) { s.Partitions[1].Number = 129 }, "partition number 129 of /dev/test is out of range or stands twice"},
		{"no slots", func(s *disk.Snapshot) { s.Table.Slots = 0 }, unfit},
		{"slots beyond counting", func(s *disk.Snapshot) { s.Table.Slots = plan.MaxSlots + 1 }, unfit},
		{"first usable", func(s *disk.Snapshot) { s.Table.FirstUsable = 1 << 60 }, unfit},
		{"first usable over the header", func(s *disk.Snapshot) { s.Table.FirstUsable = 1 }, unfit},
		{"last usable", func(s *disk.Snapshot) { s.Table.LastUsable = 1 << 60 }, unfit},
		{"last usable negative", func(s *disk.Snapshot) { s.Table.LastUsable = -1 }, unfit},
		{"no sectors", func(s *disk.Snapshot) { s.SectorSize = 0 }, "sector size 0 of /dev/test: must be a power of two from 512 on"},
		{"odd sectors", func(s *disk.Snapshot) { s.SectorSize = 1536 }, "sector size 1536 of /dev/test: must be a power of two from 512 on"},
		{"small sectors", func(s *disk.Snapshot) { s.SectorSize = 256 }, "sector size 256 of /dev/test: must be a power of two from 512 on"},
		{"negative disk", func(s *disk.Snapshot) { s.Size = -1 }, "is out of range"},
	}
	for _, c := range cases {
		snap := gpt(disk.GiB, there("root", 2048, 2048), there("home", 4096, 2048))
		c.damage(&snap)
		if _, err := Make(named(want("var")), snap, host.Facts{}, options(EmptyRefuse)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.name, err, c.want)
		}
	}
	if _, err := Make(nil, blank(disk.GiB), host.Facts{}, Options{Empty: EmptyAllow}); err == nil || !strings.Contains(err.Error(), "no seed to derive UUIDs from") {
		t.Errorf("no seed: %v", err)
	}
}

func TestNoSpace(t *testing.T) {
	_, err := Make(named(want("home"), want("var", sizes(disk.GiB, 0))), blank(100*disk.MiB), host.Facts{}, options(EmptyAllow))
	var noSpace *NoSpaceError
	if !errors.As(err, &noSpace) || noSpace.Definition != "20-var" || noSpace.Need != disk.GiB || noSpace.Total != disk.GiB+10*disk.MiB {
		t.Errorf("%v", err)
	}
	said := map[string][]definitions.Definition{
		"no space for 20-var.toml: it needs at least 1 GiB with its padding, and the largest free area has 99 MiB (all definitions together need 1 GiB more, and 99 MiB are free)":                                         named(want("home"), want("var", sizes(disk.GiB, 0))),
		"no space for 20-var.toml: it needs at least 64 MiB with its padding, and of the largest free area's 99 MiB the others that must be made or grow leave less (all together need 114 MiB more, and 99 MiB are free)": named(want("home", sizes(50*disk.MiB, 0)), want("var", sizes(64*disk.MiB, 0))),
		"no space for 10-home.toml: it needs at least 103792640 bytes with its padding, and the largest free area has 103788544 (all definitions together need 103792640 bytes more, and 103788544 are free)":              named(want("home", sizes(103792640, 0))),
	}
	for text, defs := range said {
		_, err := Make(defs, blank(100*disk.MiB), host.Facts{}, options(EmptyAllow))
		if !errors.As(err, &noSpace) || noSpace.Error() != text || noSpace.Hint() == "" {
			t.Errorf("%v, want\n%s", err, text)
		}
	}
	var many []definitions.Definition
	for range 129 {
		many = append(many, want("linux-generic", sizes(4096, 0)))
	}
	if _, err := Make(named(many...), blank(disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || !strings.Contains(err.Error(), "slot") {
		t.Errorf("129 partitions: %v", err)
	}
}

func BenchmarkMake(b *testing.B) {
	for _, n := range []int{5, 128} {
		b.Run(fmt.Sprintf("%d partitions", n), func(b *testing.B) {
			var partitions []disk.Partition
			var defs []definitions.Definition
			for i := range n {
				typ := oracleTypes[i%len(oracleTypes)]
				partitions = append(partitions, there(typ, int64(2048+i*40960), 32768))
				defs = append(defs, want(typ))
			}
			snap := gpt(8*disk.GiB, partitions...)
			defs = named(defs...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Make(defs, snap, host.Facts{}, options(EmptyRefuse)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
