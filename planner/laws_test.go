package planner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// A spoiled plan breaks one law, and is refused with that law's error: whoever made it,
// and whatever other law it would break besides.
type spoiled struct {
	name  string
	spoil func(*plan.Plan)
	want  string
}

// checkSpoiled spoils the plan that the definitions make for a disk, in every way.
func checkSpoiled(t *testing.T, defs []definitions.Definition, snap disk.Snapshot, o Options, cases []spoiled) {
	t.Helper()
	for _, c := range cases {
		p := planned(t, defs, snap, o)
		c.spoil(p)
		if err := plan.Check(p, snap); err == nil || err.Error() != "invalid plan: "+c.want {
			t.Errorf("%s: %v\nwant: %s", c.name, err, c.want)
		}
	}
}

// onAction edits the last action of a kind.
func onAction[A plan.Action](edit func(*A)) func(*plan.Plan) {
	return func(p *plan.Plan) {
		for i := len(p.Actions) - 1; i >= 0; i-- {
			if a, ok := p.Actions[i].(A); ok {
				edit(&a)
				p.Actions[i] = a
				return
			}
		}
		panic("the plan has no such action")
	}
}

// beyondNumbers is a size, or a place, with which the end of what has it is a negative number.
const beyondNumbers disk.Bytes = 1<<63 - 4096

// TestLaws: of a root that stays, a foreign partition beside it, and a new one.
func TestLaws(t *testing.T) {
	snap := gpt(disk.GiB, there("root", 2048, 204800), there("srv", 206848, 204800))
	defs := named(want("root"), want("home", encrypted))
	const (
		notTable = "the table is not a GPT, or has no GUID or an impossible number of slots"
		beyond   = "the table that is there would change beyond its end"
		moved    = "partition 1 would be moved, or change its number, type or attributes"
		foreign  = "partition 2 is foreign and would change"
		outside  = "partition 3 lies outside the usable space"
		notNew   = "partition 3 is new, but was there before or is in no definition"
		another  = "action create of partition 3: is not about a new partition, or not the only one that writes it"
	)
	checkSpoiled(t, defs, snap, options(EmptyRefuse), []spoiled{
		{"version", func(p *plan.Plan) { p.Version++ }, "it has version 2, and this program reads 1"},
		{"fingerprint", func(p *plan.Plan) { p.Target.Fingerprint = "" }, "it names no state of the disk"},
		{"other sectors", func(p *plan.Plan) { p.Target.SectorSize = 4096 }, "it is for sectors of 4096 bytes, the disk has 512"},
		{"smaller disk", func(p *plan.Plan) { p.Target.Size -= 512 }, "it is for a disk of 1073741312 bytes, the disk has 1073741824"},
		{"disk beyond counting", func(p *plan.Plan) { p.Target.Size = plan.MaxDisk + 512 }, "it is for a disk of 4611686018427388416 bytes, the disk has 1073741824"},

		{"no GPT", func(p *plan.Plan) { p.Table.Kind = disk.MBR }, notTable},
		{"no GUID", func(p *plan.Plan) { p.Table.GUID = uuid.Nil }, notTable},
		{"no slots", func(p *plan.Plan) { p.Table.Slots = 0 }, notTable},
		{"slots beyond counting", func(p *plan.Plan) { p.Table.Slots = plan.MaxSlots + 1 }, notTable},
		{"table over its header", func(p *plan.Plan) { p.Table.FirstUsable = 1 }, "the usable sectors 1 to 2097118 do not fit the disk"},
		{"table of nothing", func(p *plan.Plan) { p.Table.LastUsable = 33 }, "the usable sectors 2048 to 33 do not fit the disk"},
		{"table over its backup", func(p *plan.Plan) { p.Table.LastUsable++ }, "the usable sectors 2048 to 2097119 do not fit the disk"},
		{"table over the end of the disk", func(p *plan.Plan) { p.Table.LastUsable += 40 }, "the usable sectors 2048 to 2097158 do not fit the disk"},
		{"another table", func(p *plan.Plan) { p.Table.GUID = testSeed }, beyond},
		{"table moved", func(p *plan.Plan) { p.Table.FirstUsable++ }, beyond},
		{"more slots", func(p *plan.Plan) { p.Table.Slots-- }, beyond},
		{"shorter table", func(p *plan.Plan) { p.Table.LastUsable-- }, beyond},

		{"row lost", func(p *plan.Plan) { p.Rows = p.Rows[1:] }, "partition 1 has no row"},
		{"row twice", func(p *plan.Plan) { p.Rows = append(p.Rows, p.Rows[0]) }, "partition 1 is not there as it says, or has two rows"},
		{"of another disk", func(p *plan.Plan) { p.Rows[0].Old.Size -= 512 }, "partition 1 is not there as it says, or has two rows"},
		{"kept in a new table", func(p *plan.Plan) { p.NewTable = true }, "partition 1 cannot stay in a new table"},

		{"foreign deleted", func(p *plan.Plan) { p.Rows[1].Activity = plan.ActivityDelete }, "partition 2 is foreign and must not go"},
		{"deleted as another", func(p *plan.Plan) { p.Rows[0].Activity, p.Rows[0].Size = plan.ActivityDelete, 512 }, "partition 1 goes, but was not there like that"},
		{"new one deleted", func(p *plan.Plan) { p.Rows[2].Activity = plan.ActivityDelete }, "partition 3 goes, but was not there like that"},
		{"unknown activity", func(p *plan.Plan) { p.Rows[0].Activity = "melt" }, `partition 1 has the unknown activity "melt"`},

		{"made and there", func(p *plan.Plan) { p.Rows[0].Activity = plan.ActivityCreate }, "partition 1 is new, but was there before or is in no definition"},
		{"made for nobody", func(p *plan.Plan) { p.Rows[2].Definition = "" }, notNew},
		{"start unaligned", func(p *plan.Plan) { p.Rows[2].Offset += 512 }, "partition 3 is not aligned to 4096 bytes"},
		{"size unaligned", func(p *plan.Plan) { p.Rows[2].Size -= 512 }, "partition 3 is not aligned to 4096 bytes"},
		{"over the end", func(p *plan.Plan) { p.Rows[2].Size += disk.GiB }, outside},
		{"over the table", func(p *plan.Plan) { p.Rows[2].Offset, p.Rows[2].Size = 0, 4096 }, outside},
		{"of no size", func(p *plan.Plan) { p.Rows[2].Size = 0 }, outside},
		{"of a size beyond counting", func(p *plan.Plan) { p.Rows[2].Size = plan.MaxDisk + 4096 }, outside},
		{"of a size beyond all numbers", func(p *plan.Plan) { p.Rows[2].Size = beyondNumbers }, outside},
		{"before the disk", func(p *plan.Plan) { p.Rows[2].Offset = -4096 }, outside},
		{"behind all numbers", func(p *plan.Plan) { p.Rows[2].Offset = beyondNumbers }, outside},
		{"long name", func(p *plan.Plan) { p.Rows[2].Name = strings.Repeat("x", 37) }, "partition 3 " + plan.CheckName(strings.Repeat("x", 37)).Error()},

		{"there without having been", func(p *plan.Plan) { p.Rows[2].Activity = plan.ActivityUnchanged }, "partition 3 stays, but was not there"},
		{"foreign renamed", func(p *plan.Plan) { p.Rows[1].Name = "x" }, foreign},
		{"foreign moved", func(p *plan.Plan) { p.Rows[1].Offset += 4096 }, foreign},
		{"foreign shrunk", func(p *plan.Plan) { p.Rows[1].Size -= 4096; p.Rows[1].Activity = plan.ActivityResize }, foreign},
		{"foreign grown", func(p *plan.Plan) { p.Rows[1].Size += 4096; p.Rows[1].Activity = plan.ActivityResize }, foreign},
		{"foreign UUID", func(p *plan.Plan) { p.Rows[1].UUID = testSeed }, foreign},
		{"foreign type", func(p *plan.Plan) { p.Rows[1].Type = testSeed }, foreign},
		{"foreign attributes", func(p *plan.Plan) { p.Rows[1].Attributes = disk.AttributeGrowFileSystem }, foreign},
		{"renumbered", func(p *plan.Plan) { p.Rows[0].Number = 9 }, "partition 9" + strings.TrimPrefix(moved, "partition 1")},
		{"another type", func(p *plan.Plan) { p.Rows[0].Type = testSeed }, moved},
		{"moved up", func(p *plan.Plan) { p.Rows[0].Offset += 4096 }, moved},
		{"moved down", func(p *plan.Plan) {
			p.Rows[0].Offset -= 4096
			p.Rows[0].Size += 4096
			p.Rows[0].Activity = plan.ActivityResize
		}, moved},
		{"attributes", func(p *plan.Plan) { p.Rows[0].Attributes = 1 }, moved},
		{"grow-fs without a conversion", func(p *plan.Plan) { p.Rows[0].Attributes |= disk.AttributeGrowFileSystem }, moved},
		{"new UUID", func(p *plan.Plan) { p.Rows[0].UUID = testSeed }, "partition 1 would change its UUID"},
		{"UUID from a root hash", func(p *plan.Plan) { p.Rows[0].UUIDDerived = true }, "partition 1 would change its UUID"},
		{"new name", func(p *plan.Plan) { p.Rows[0].Name = "x" }, "partition 1 would change its name"},
		{"shrunk", func(p *plan.Plan) { p.Rows[0].Size -= 4096; p.Rows[0].Activity = plan.ActivityResize }, "partition 1 would shrink, or has the wrong activity"},
		{"shrunk in silence", func(p *plan.Plan) { p.Rows[0].Size -= 4096 }, "partition 1 would shrink, or has the wrong activity"},
		{"grown in silence", func(p *plan.Plan) { p.Rows[0].Size += 4096 }, "partition 1 would shrink, or has the wrong activity"},
		{"resized to the same", func(p *plan.Plan) { p.Rows[0].Activity = plan.ActivityResize }, "partition 1 would shrink, or has the wrong activity"},
		{"grown over the end", func(p *plan.Plan) { p.Rows[0].Size += disk.GiB; p.Rows[0].Activity = plan.ActivityResize }, "partition 1 would grow out of the usable space"},
		{"grown beyond all numbers", func(p *plan.Plan) { p.Rows[0].Size, p.Rows[0].Activity = beyondNumbers, plan.ActivityResize }, "partition 1 would grow out of the usable space"},

		{"number 0", func(p *plan.Plan) { p.Rows[2].Number = 0 }, "partition number 0 is out of range or stands twice"},
		{"number beyond the slots", func(p *plan.Plan) { p.Rows[2].Number = 129 }, "partition number 129 is out of range or stands twice"},
		{"number twice", func(p *plan.Plan) { p.Rows[2].Number = 1 }, "partition number 1 is out of range or stands twice"},
		{"UUID before its root hash", func(p *plan.Plan) { p.Rows[2].UUIDDerived = true }, "partition 3 has a UUID before its root hash is known"},
		{"UUID twice", func(p *plan.Plan) { p.Rows[2].UUID = p.Rows[0].UUID }, "partition 3 has the UUID " + snap.Partitions[0].UUID.String() + " of another"},

		{"overlap", func(p *plan.Plan) { p.Rows[2].Offset -= 4096 }, "partitions 2 and 3 overlap"},
		{"overlap of what its action names too", func(p *plan.Plan) {
			p.Rows[2].Offset -= 4096
			onAction(func(c *plan.Create) { c.Extent = p.Rows[2].Extent })(p)
		}, "partitions 2 and 3 overlap"},
		{"grown over its neighbour", func(p *plan.Plan) {
			p.Rows[0].Size, p.Rows[0].Activity = p.Rows[0].Size+4096, plan.ActivityResize
			p.Actions = append(p.Actions, plan.Grow{Number: 1, From: p.Rows[0].Old.Size, To: p.Rows[0].Size})
		}, "partitions 1 and 2 overlap"},

		{"no action", func(p *plan.Plan) { p.Actions = nil }, "partition 3 is new and nothing makes it, or the other way round"},
		{"action twice", func(p *plan.Plan) { p.Actions = append(p.Actions, p.Actions[0]) }, another},
		{"wrong extent", onAction(func(c *plan.Create) { c.Extent.Offset -= 4096 }), another},
		{"on an existing one", func(p *plan.Plan) { p.Actions[0] = plan.Create{Number: 1, Extent: p.Rows[0].Extent} }, "action create of partition 1" + strings.TrimPrefix(another, "action create of partition 3")},
		{"on one that is not there", onAction(func(c *plan.Create) { c.Number = 7 }), "action create of partition 7" + strings.TrimPrefix(another, "action create of partition 3")},
		{"file system of no format", onAction(func(c *plan.Create) { c.Filesystem.Format = "" }), "action create of partition 3: makes a file system without a format, or over copied blocks"},
		{"file system over copied blocks", onAction(func(c *plan.Create) { c.CopyBlocks = "/b" }), "action create of partition 3: makes a file system without a format, or over copied blocks"},
		{"all header", onAction(func(c *plan.Create) { c.Encryption.DataOffset = c.Extent.Size }), "action create of partition 3: leaves no room behind the LUKS2 header"},
		{"no key", onAction(func(c *plan.Create) { c.Encryption.Keys = nil }), "action create of partition 3: encrypts without a key"},
		{"odd encryption sectors", onAction(func(c *plan.Create) { c.Encryption.SectorSize = 1536 }), "action create of partition 3: has encryption sectors of 1536 bytes"},
		{"small encryption sectors", onAction(func(c *plan.Create) { c.Encryption.SectorSize = 256 }), "action create of partition 3: has encryption sectors of 256 bytes"},
		{"large encryption sectors", onAction(func(c *plan.Create) { c.Encryption.SectorSize = 8192 }), "action create of partition 3: has encryption sectors of 8192 bytes"},
		{"secure key under a clear cipher", onAction(func(c *plan.Create) { c.Encryption.SecureKey = &definitions.SecureKey{} }), `action create of partition 3: has a volume key that the cipher "aes-xts-plain64" does not take`},

		{"grows what stays", func(p *plan.Plan) {
			p.Actions = append(p.Actions, plan.Grow{Number: 1, From: p.Rows[0].Size, To: p.Rows[0].Size + 4096})
		},
			"action grow of partition 1: is not about a partition that grows like that"},
		{"converts a foreign one", func(p *plan.Plan) {
			p.Actions = append(p.Actions, plan.Reencrypt{Number: 2, Extent: p.Rows[1].Extent, Shift: Shift, Encryption: *p.Actions[0].(plan.Create).Encryption})
		}, "action reencrypt of partition 2: is not about a partition of a definition, or not the only one that works on it"},
		{"converts a new one", func(p *plan.Plan) {
			p.Actions = append(p.Actions, plan.Reencrypt{Number: 3, Extent: p.Rows[2].Extent, Shift: Shift, Encryption: *p.Actions[0].(plan.Create).Encryption})
		}, "action reencrypt of partition 3: is not about a partition of a definition, or not the only one that works on it"},
		{"enrolls for a new one", func(p *plan.Plan) {
			p.Actions = append(p.Actions, plan.Enroll{Number: 3, Extent: p.Rows[2].Extent, Keys: p.Actions[0].(plan.Create).Encryption.Keys})
		}, "action enroll of partition 3: is not about a partition of a definition, or not the only one that works on it"},
		{"enrolls for a foreign one", func(p *plan.Plan) {
			p.Actions = append(p.Actions, plan.Enroll{Number: 2, Extent: p.Rows[1].Extent, Keys: p.Actions[0].(plan.Create).Encryption.Keys})
		}, "action enroll of partition 2: is not about a partition of a definition, or not the only one that works on it"},
	})
}

// TestLawsOfDisks: of what else a disk, and a table that is there, may be.
func TestLawsOfDisks(t *testing.T) {
	defs := named(want("root"))
	const notTable = "the table is not a GPT, or has no GUID or an impossible number of slots"
	checkSpoiled(t, defs, blank(disk.GiB), options(EmptyAllow), []spoiled{
		{"no table", func(p *plan.Plan) { p.Table = disk.Table{} }, notTable},
		{"none, and none to be made", func(p *plan.Plan) { p.Table, p.NewTable = disk.Table{}, false }, notTable},
	})
	for _, size := range []disk.Bytes{256, 768} {
		p, snap := planned(t, defs, blank(disk.GiB), options(EmptyAllow)), blank(disk.GiB)
		p.Target.SectorSize, snap.SectorSize = size, size
		if err := plan.Check(p, snap); err == nil || err.Error() != fmt.Sprintf("invalid plan: it is for sectors of %d bytes, the disk has %d", size, size) {
			t.Errorf("sectors of %d bytes: %v", size, err)
		}
	}
	// A table that was moved over the end of the disk is not gone by.
	snap := gpt(disk.GiB)
	p := planned(t, defs, snap, options(EmptyRefuse))
	p.Table.LastUsable, snap.Table.LastUsable = 2097152, 2097152
	if err := plan.Check(p, snap); err == nil || err.Error() != "invalid plan: the usable sectors 2048 to 2097152 do not fit the disk" {
		t.Errorf("a table over the end of the disk: %v", err)
	}
	// A partition without a name and a UUID may be given both, in bounds, and those that
	// have one UUID already are not judged.
	bare := there("root", 2048, 204800)
	bare.Name, bare.UUID = "", uuid.Nil
	twins := []disk.Partition{there("srv", 206848, 2048), there("home", 208896, 2048)}
	twins[1].UUID = twins[0].UUID
	snap = gpt(disk.GiB, append([]disk.Partition{bare}, twins...)...)
	p = planned(t, defs, snap, options(EmptyRefuse))
	if r := p.Rows[0]; r.Name != "root-x86-64" || r.UUID == uuid.Nil {
		t.Errorf("without a name and a UUID: %+v", r)
	}
	long := strings.Repeat("x", 37)
	checkSpoiled(t, defs, snap, options(EmptyRefuse), []spoiled{
		{"a long name", func(p *plan.Plan) { p.Rows[0].Name = long }, "partition 1 " + plan.CheckName(long).Error()},
	})
}

// TestLawsOfGrowth: of a partition that grows, and of the order that apply goes by.
func TestLawsOfGrowth(t *testing.T) {
	snap := gpt(disk.GiB, there("root", 2048, 204800))
	defs := named(want("root", sizes(200*disk.MiB, 200*disk.MiB)), want("home", sizes(64*disk.MiB, 64*disk.MiB)))
	const likeThat = "action grow of partition 1: is not about a partition that grows like that"
	checkSpoiled(t, defs, snap, options(EmptyRefuse), []spoiled{
		{"no action", func(p *plan.Plan) { p.Actions = p.Actions[:1] }, "partition 1 grows without an action"},
		{"twice", func(p *plan.Plan) { p.Actions = append(p.Actions, p.Actions[1]) }, likeThat},
		{"from elsewhere", onAction(func(g *plan.Grow) { g.From -= 4096 }), likeThat},
		{"further", onAction(func(g *plan.Grow) { g.To += 4096 }), likeThat},
		{"by nothing", onAction(func(g *plan.Grow) { g.To = g.From }), likeThat},
		{"one that is made", onAction(func(g *plan.Grow) { g.Number = 2 }), "action grow of partition 2: is not about a partition that grows like that"},
		{"before what is made", func(p *plan.Plan) { p.Actions[0], p.Actions[1] = p.Actions[1], p.Actions[0] }, "action create of partition 2: comes too late"},
		{"unknown", func(p *plan.Plan) { p.Actions = append(p.Actions, nobodys{}) }, "action dance of partition 1: is of an unknown kind"},
	})
}

// nobodys is an action that no executor knows.
type nobodys struct{ plan.Grow }

func (nobodys) Kind() string   { return "dance" }
func (nobodys) Partition() int { return 1 }

// TestLawsOfVerity: of a verity set that is made.
func TestLawsOfVerity(t *testing.T) {
	const hash = "action verity of partition 2: "
	checkSpoiled(t, veritySet(), blank(disk.GiB), options(EmptyAllow), []spoiled{
		{"no data", onAction(func(v *plan.Verity) { v.Data = 9 }), hash + "has no data partition 9"},
		{"data elsewhere", onAction(func(v *plan.Verity) { v.DataExtent.Size -= 4096 }), hash + "has no data partition 1"},
		{"hash elsewhere", onAction(func(v *plan.Verity) { v.HashExtent.Offset += 4096 }), hash + "is not about a new partition, or not the only one that writes it"},
		{"odd data blocks", onAction(func(v *plan.Verity) { v.DataBlockSize = 1536 }), hash + "has blocks of 1536 bytes"},
		{"small hash blocks", onAction(func(v *plan.Verity) { v.HashBlockSize = 256 }), hash + "has blocks of 256 bytes"},
		{"large hash blocks", onAction(func(v *plan.Verity) { v.HashBlockSize = 2 * plan.MaxVerityBlock }), hash + "has blocks of 1048576 bytes"},
		{"no room for the tree", func(p *plan.Plan) {
			p.Rows[1].Size = 4096
			onAction(func(v *plan.Verity) { v.HashExtent = p.Rows[1].Extent })(p)
		}, hash + "has a hash tree larger than its partition"},
		{"salt", onAction(func(v *plan.Verity) { v.Salt = "zz" }), hash + `the salt "zz" is not up to 256 bytes in hex`},
		{"long salt", onAction(func(v *plan.Verity) { v.Salt = strings.Repeat("00", 257) }), hash + `the salt "` + strings.Repeat("00", 257) + `" is not up to 256 bytes in hex`},
		{"before its data", func(p *plan.Plan) { p.Actions[0], p.Actions[1] = p.Actions[1], p.Actions[0] }, "action create of partition 1: comes too late"},
	})
}

// TestLawsOfConversion: of conversions in each room.
func TestLawsOfConversion(t *testing.T) {
	const (
		act     = "action reencrypt of partition 1: "
		about   = act + "is not about a partition of a definition, or not the only one that works on it"
		fit     = act + "does not fit what the partition holds"
		nowhere = act + "has a header in a place that does not exist: "
		room    = act + "has no room for the header and the moved first bytes"
		moved   = "partition 1 would be moved, or change its number, type or attributes"
	)
	front := ext4(there("root", 2048+int64(Shift/512), 204800))
	checkSpoiled(t, named(convertAs("gap")), gpt(disk.GiB, front), options(EmptyRefuse), []spoiled{
		{"start moved too far", func(p *plan.Plan) {
			p.Rows[0].Offset -= 4096
			p.Rows[0].Size += 4096
			onAction(func(r *plan.Reencrypt) { r.Extent = p.Rows[0].Extent })(p)
		}, moved},
		{"start moved backwards", onAction(func(r *plan.Reencrypt) { r.Shift = -r.Shift }), moved},
		{"start moved for another room", onAction(func(r *plan.Reencrypt) { r.Room = plan.RoomBehind }), moved},
		{"start moved without a conversion", func(p *plan.Plan) { p.Actions = nil }, moved},
		{"start moved by one that goes on", onAction(func(r *plan.Reencrypt) { r.Resume = true }), moved},
		{"end moved", func(p *plan.Plan) { p.Rows[0].Size -= 4096 }, "partition 1 would shrink, or has the wrong activity"},
		{"other attributes", func(p *plan.Plan) { p.Rows[0].Attributes |= disk.AttributeNoAuto }, moved},
		{"another place", onAction(func(r *plan.Reencrypt) { r.Extent.Offset += 4096 }), about},
		{"twice", func(p *plan.Plan) { p.Actions = append(p.Actions, p.Actions[0]) }, about},
		{"less than nothing", onAction(func(r *plan.Reencrypt) { r.DataSize = -4096 }), act + "has sizes out of range"},
		{"more than the partition", onAction(func(r *plan.Reencrypt) { r.DataSize = r.Extent.Size + 4096 }), act + "has sizes out of range"},
		{"data behind the header", onAction(func(r *plan.Reencrypt) { r.Encryption.DataOffset += 4096 }), room},
		{"more data than there is", onAction(func(r *plan.Reencrypt) { r.DataSize += 4096 }), room},
		{"unknown room", func(p *plan.Plan) {
			p.Rows[0].Extent, p.Rows[0].Activity = p.Rows[0].Old.Extent, plan.ActivityUnchanged
			onAction(func(r *plan.Reencrypt) { r.Room, r.Extent = "attic", p.Rows[0].Extent })(p)
		}, nowhere + `"attic"`},
		{"unknown mode", func(p *plan.Plan) {
			p.Rows[0].Extent, p.Rows[0].Activity = p.Rows[0].Old.Extent, plan.ActivityUnchanged
			p.Rows[0].Attributes = p.Rows[0].Old.Attributes
			onAction(func(r *plan.Reencrypt) { r.Mode, r.Extent = "decrypt", p.Rows[0].Extent })(p)
		}, fit},
		{"no key", onAction(func(r *plan.Reencrypt) { r.Encryption.Keys = nil }), act + "encrypts without a key"},
		{"to a secure key", onAction(func(r *plan.Reencrypt) { r.Encryption.SecureKey = &definitions.SecureKey{} }), act + "converts to a secure key"},
		{"a gap where nothing moved", onAction(func(r *plan.Reencrypt) { r.Shift = 0 }), moved},
		{"a gap of nothing", func(p *plan.Plan) {
			p.Rows[0].Extent, p.Rows[0].Activity = p.Rows[0].Old.Extent, plan.ActivityUnchanged
			onAction(func(r *plan.Reencrypt) { r.Shift, r.Extent = 0, p.Rows[0].Extent })(p)
		}, nowhere + `"gap"`},
		{"a gap behind the start", func(p *plan.Plan) {
			p.Rows[0].Offset, p.Rows[0].Size = p.Rows[0].Old.Offset+4096, p.Rows[0].Old.Size
			onAction(func(r *plan.Reencrypt) { r.Shift, r.Extent = -4096, p.Rows[0].Extent })(p)
		}, moved},
	})
	checkSpoiled(t, named(convertAs("shrink")), gpt(disk.GiB, ext4(there("root", 2048, 204800))), options(EmptyRefuse), []spoiled{
		{"no room behind", onAction(func(r *plan.Reencrypt) { r.DataSize = r.Extent.Size - 2*r.Shift + 4096 }), room},
		{"no shift", onAction(func(r *plan.Reencrypt) { r.Shift = 0 }), nowhere + `"behind"`},
		{"negative shift", onAction(func(r *plan.Reencrypt) { r.Shift = -4096 }), act + "has sizes out of range"},
		{"in the attic with a path", onAction(func(r *plan.Reencrypt) { r.Room, r.Shift, r.HeaderPath = "attic", 0, headerPath }), nowhere + `"attic"`},
		{"detached without a path", onAction(func(r *plan.Reencrypt) { r.Room, r.Shift = plan.RoomDetached, 0 }), nowhere + `"detached"`},
		{"detached with a shift", onAction(func(r *plan.Reencrypt) { r.Room, r.HeaderPath = plan.RoomDetached, headerPath }), nowhere + `"detached"`},
		{"of a volume", func(p *plan.Plan) { p.Rows[0].Content = luks(there("root", 2048, 204800), 1).Content }, fit},
		{"rekeyed", onAction(func(r *plan.Reencrypt) { r.Mode, r.Room, r.ExistingKey = plan.ModeRekey, "", vendorKey }),
			moved}, // its grow-fs attribute is only for what is encrypted
	})
	volume := gpt(disk.GiB, luks(there("root", 2048, 204800), 1))
	checkSpoiled(t, named(volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)), volume, options(EmptyRefuse), []spoiled{
		{"attributes", func(p *plan.Plan) { p.Rows[0].Attributes |= disk.AttributeGrowFileSystem }, moved},
		{"as plain data", onAction(func(r *plan.Reencrypt) { r.Mode, r.Room = plan.ModeEncrypt, plan.RoomBehind }), fit},
		{"without its key", onAction(func(r *plan.Reencrypt) { r.ExistingKey = "" }), fit},
		{"decrypted", onAction(func(r *plan.Reencrypt) { r.Mode = "decrypt" }), fit},
		{"in a room", onAction(func(r *plan.Reencrypt) { r.Room = plan.RoomBehind }), fit},
		{"of plain data", func(p *plan.Plan) { p.Rows[0].Content = front.Content }, fit},
		{"of one in conversion", func(p *plan.Plan) {
			p.Rows[0].Content = pending(luks(there("root", 2048, 204800), 1), "encrypt", "datashift", disk.ReencryptClean).Content
		}, fit},
		{"worked on twice", func(p *plan.Plan) { p.Actions = append(p.Actions, p.Actions[0]) }, about},
	})
	half := pending(luks(there("root", 2048, 204800), 1, tpmToken), "encrypt", "datashift", disk.ReencryptClean)
	checkSpoiled(t, named(convertAs("shrink")), gpt(disk.GiB, half), options(EmptyRefuse), []spoiled{
		{"goes on in one that grows", func(p *plan.Plan) {
			p.Rows[0].Size, p.Rows[0].Activity = p.Rows[0].Size+4096, plan.ActivityResize
			p.Actions = append([]plan.Action{plan.Grow{Number: 1, From: p.Rows[0].Old.Size, To: p.Rows[0].Size}}, p.Actions...)
			onAction(func(r *plan.Reencrypt) { r.Extent = p.Rows[0].Extent })(p)
		}, act + "goes on with a conversion in a partition that changes"},
	})
}

// TestLawsOfEnroll: of keys that are added to a volume.
func TestLawsOfEnroll(t *testing.T) {
	const act = "action enroll of partition 1: "
	const about = act + "is not about a partition of a definition, or not the only one that works on it"
	volume := gpt(disk.GiB, luks(there("root", 2048, 204800), 1))
	checkSpoiled(t, named(volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey)), volume, options(EmptyRefuse), []spoiled{
		{"no keys", onAction(func(a *plan.Enroll) { a.Keys = nil }), act + "adds no key, or drops one that is not named"},
		{"drops what is not named", onAction(func(a *plan.Enroll) { a.ExistingKey = "" }), act + "adds no key, or drops one that is not named"},
		{"another place", onAction(func(a *plan.Enroll) { a.Extent.Offset += 4096 }), about},
		{"twice", func(p *plan.Plan) { p.Actions = append(p.Actions, p.Actions[0]) }, about},
		{"keys for plain data", func(p *plan.Plan) { p.Rows[0].Content = ext4(there("root", 2048, 204800)).Content }, act + "is not about a whole LUKS2 volume"},
		{"keys in a conversion", func(p *plan.Plan) {
			p.Rows[0].Content = pending(luks(there("root", 2048, 204800), 1), "encrypt", "datashift", disk.ReencryptClean).Content
		}, act + "is not about a whole LUKS2 volume"},
		{"drops for what only a note says", onAction(func(a *plan.Enroll) { a.Awaited = true }), act + "drops a key for what only a note in a header says"},
		{"no partition", onAction(func(a *plan.Enroll) { a.Number = 2 }), strings.Replace(about, "1", "2", 1)},
	})
}

// TestLawsOfMBR: no plan touches the table of an MBR.
func TestLawsOfMBR(t *testing.T) {
	checkSpoiled(t, named(matching(byFilesystem, convertAs("shrink"))), pi(), options(EmptyRefuse), []spoiled{
		{"moved", func(p *plan.Plan) { p.Rows[1].Offset += 4096 }, "partition 2 would be moved, or change its number, type or attributes"},
		{"grown", func(p *plan.Plan) { p.Rows[1].Size += 4096; p.Rows[1].Activity = plan.ActivityResize }, "partition 2 would grow out of the usable space"},
		{"attributes", func(p *plan.Plan) { p.Rows[1].Attributes |= disk.AttributeGrowFileSystem }, "partition 2 would change its entry in an MBR"},
		{"a GPT", func(p *plan.Plan) { p.Table = gpt(disk.GiB).Table }, "the table that is there would change beyond its end"},
		{"another kind of table", func(p *plan.Plan) { p.NewTable = true }, "the table is not a GPT, or has no GUID or an impossible number of slots"},
		{"a fifth", func(p *plan.Plan) { p.Rows[1].Number = 5 }, "partition 5 would be moved, or change its number, type or attributes"},
	})
}
