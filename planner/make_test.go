package planner

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// testSeed is the seed of systemd's TEST-58-REPART, whose UUIDs are known.
var testSeed = uuid.MustParse("750b6cd5c4ae4012a15e7be3c29e6a47")

func options(empty Empty) Options { return Options{Seed: testSeed, Empty: empty} }

// want makes a definition of the type, named "NN-type" by its place in defs.
func want(typ string, edit ...func(*definitions.Definition)) definitions.Definition {
	t, ok := disk.TypeByName(typ, "x86-64")
	if !ok {
		panic("no type " + typ)
	}
	d := definitions.Definition{Partition: definitions.Partition{Type: t, Weight: 1000}}
	for _, e := range edit {
		e(&d)
	}
	return d
}

// named gives definitions names in their order.
func named(defs ...definitions.Definition) []definitions.Definition {
	for i := range defs {
		if defs[i].Name == "" {
			defs[i].Name = fmt.Sprintf("%02d-%s", 10*(i+1), defs[i].Partition.Type.Name)
		}
		defs[i].File = "/usr/lib/sealpart.d/" + defs[i].Name + ".toml"
	}
	return defs
}

func sizes(lo, hi disk.Bytes) func(*definitions.Definition) {
	return func(d *definitions.Definition) {
		if lo > 0 {
			d.Partition.SizeMin = &lo
		}
		if hi > 0 {
			d.Partition.SizeMax = &hi
		}
	}
}

func padding(lo, hi disk.Bytes) func(*definitions.Definition) {
	return func(d *definitions.Definition) {
		if lo > 0 {
			d.Partition.PaddingMin = &lo
		}
		if hi > 0 {
			d.Partition.PaddingMax = &hi
		}
	}
}

func priority(n int32) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Partition.Priority = n }
}

func format(f string) func(*definitions.Definition) {
	return func(d *definitions.Definition) { d.Filesystem.Format = f }
}

func encrypted(d *definitions.Definition) {
	d.Encryption = &definitions.Encryption{
		Existing: definitions.ExistingKeep, Keys: []definitions.Key{{Type: definitions.KeyTPM2, PCRs: []int{7}}},
	}
}

// blank is a disk, or an image file, with nothing on it.
func blank(size disk.Bytes) disk.Snapshot {
	return disk.Snapshot{Path: "/dev/test", Size: size, SectorSize: 512}
}

// gpt is a disk with a table as sfdisk makes it and the given partitions, which
// are numbered in their order.
func gpt(size disk.Bytes, partitions ...disk.Partition) disk.Snapshot {
	s := blank(size)
	s.Table = disk.Table{
		Kind: disk.GPT, GUID: uuid.MustParse("1d2ce291-7cce-4f7d-bc83-fdb49ad74ebd"),
		FirstUsable: 2048, LastUsable: plan.LastUsable(size, 512, 128), Slots: 128,
	}
	for i := range partitions {
		if partitions[i].Number == 0 {
			partitions[i].Number = i + 1
		}
	}
	s.Partitions = partitions
	return s
}

// there is a partition that is there, in sectors.
func there(typ string, start, size int64) disk.Partition {
	t, _ := disk.TypeByName(typ, "x86-64")
	return disk.Partition{Entry: disk.Entry{
		Type: t.UUID, Name: typ, UUID: uuid.NewSHA1(testSeed, fmt.Append(nil, typ, start)),
		Extent: disk.Extent{Offset: disk.Bytes(start * 512), Size: disk.Bytes(size * 512)},
	}}
}

// plan makes a plan, and holds it against the laws.
func planned(t testing.TB, defs []definitions.Definition, snap disk.Snapshot, o Options) *plan.Plan {
	t.Helper()
	p, err := Make(defs, snap, host.Facts{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(p, snap); err != nil {
		t.Fatal(err)
	}
	return p
}

// sectors writes the layout as "number type start+size activity", in sectors.
func sectors(p *plan.Plan) []string {
	var lines []string
	for _, r := range p.Rows {
		lines = append(lines, fmt.Sprintf("%d %s %d+%d %s", r.Number, disk.TypeByUUID(r.Type).Name, r.Offset/512, r.Size/512, r.Activity))
	}
	return lines
}

func expect(t *testing.T, p *plan.Plan, lines ...string) {
	t.Helper()
	if got := sectors(p); !reflect.DeepEqual(got, lines) {
		t.Errorf("layout:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// TestNothingToDo: a disk that is as it should be gets an empty plan.
func TestNothingToDo(t *testing.T) {
	snap := gpt(disk.GiB, there("root", 2048, 204800))
	p := planned(t, named(want("root", sizes(0, 100*disk.MiB))), snap, options(EmptyRefuse))
	expect(t, p, "1 root-x86-64 2048+204800 unchanged")
	if !p.Empty() || len(p.Actions) != 0 || p.Table != snap.Table {
		t.Errorf("not empty: %+v", p)
	}
	if p := planned(t, nil, gpt(disk.GiB), options(EmptyRefuse)); !p.Empty() {
		t.Errorf("without definitions: %+v", p)
	}
}

// TestForeignPartitionsStay: what no definition matches keeps every byte of its
// entry, odd ones included.
func TestForeignPartitionsStay(t *testing.T) {
	foreign := there("linux-generic", 2051, 77)
	foreign.Attributes, foreign.Name, foreign.Number = 1<<2|1<<48, "", 7
	snap := gpt(disk.GiB, foreign)
	p := planned(t, named(want("home")), snap, options(EmptyRefuse))
	expect(t, p, "7 linux-generic 2051+77 unchanged", "1 home 2128+2094984 create")
}

func TestEmptyModes(t *testing.T) {
	withTable := func(kind disk.TableKind) disk.Snapshot {
		s := blank(disk.GiB)
		if kind == disk.GPT {
			s = gpt(disk.GiB, there("srv", 2048, 2048))
		}
		s.Table.Kind = kind
		return s
	}
	const refused, kept, replaced = "refused", "kept", "replaced"
	cases := []struct {
		empty                Empty
		none, gpt, mbr, bare string
	}{
		{"", refused, kept, refused, refused},
		{EmptyRefuse, refused, kept, refused, refused},
		{EmptyAllow, replaced, kept, refused, refused},
		{EmptyRequire, replaced, refused, refused, refused},
		{EmptyForce, replaced, replaced, replaced, replaced},
		{EmptyCreate, replaced, replaced, replaced, replaced},
	}
	for _, c := range cases {
		for kind, want := range map[disk.TableKind]string{disk.NoTable: c.none, disk.GPT: c.gpt, disk.MBR: c.mbr, disk.Bare: c.bare} {
			snap := withTable(kind)
			p, err := Make(nil, snap, host.Facts{}, options(c.empty))
			got := kept
			switch {
			case errors.Is(err, ErrLabelRefused):
				got = refused
			case err != nil:
				t.Fatal(err)
			case p.NewTable:
				got = replaced
			}
			if got != want {
				t.Errorf("--empty=%s on %q: %s, want %s", c.empty, kind, got, want)
			}
			if err == nil {
				if err := plan.Check(p, snap); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if _, err := Make(nil, blank(disk.GiB), host.Facts{}, options("often")); err == nil || errors.Is(err, ErrLabelRefused) {
		t.Errorf("an unknown mode: %v", err)
	}
}
