package planner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestRefusals: what cannot be done safely is refused with the reason and with what
// would help.
func TestRefusals(t *testing.T) {
	root := func(edit func(*disk.Content)) disk.Partition {
		p := ext4(there("root", 2048, 204800))
		edit(&p.Content)
		return p
	}
	plain := root(func(*disk.Content) {})
	shrink := convertAs("shrink")
	detached := convertAs("detached:" + headerPath)
	rekey := volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)
	sectors := convertAs("shrink")
	sectors.Encryption.SectorSize = 4096
	volume := luks(plain, 1)
	const file = "/usr/lib/sealpart.d/10-root-x86-64.toml: partition 1: "
	cases := []struct {
		name           string
		def            definitions.Definition
		root           disk.Partition
		reason, remedy string
	}{
		{"nothing known", shrink, root(func(c *disk.Content) { *c = disk.Content{} }),
			"nothing that is known was found in it, so how much of it is data cannot be told", `set existing = "keep", or make a file system in it`},
		{"ambiguous", shrink, root(func(c *disk.Content) { c.Ambiguous = []string{"xfs"} }),
			"it holds signatures of more than one kind: ext4 and xfs", `remove the wrong one with "wipefs"`},
		{"damaged", shrink, root(func(c *disk.Content) { c.Problem = "bad checksum" }),
			"its ext4 is damaged: bad checksum", `repair it first, e.g. with "fsck"`},
		{"ambiguous and damaged", shrink, root(func(c *disk.Content) { c.Kind, c.Ambiguous, c.Problem = "swap", []string{"ext4"}, "unknown version" }),
			"it holds signatures of more than one kind: swap and ext4", `remove the wrong one with "wipefs"`},
		{"damaged swap", shrink, root(func(c *disk.Content) { c.Kind, c.Problem = "swap", "unknown version" }),
			"its swap is damaged: unknown version", `make it anew with "mkswap", unless a hibernated machine is in it`},
		{"swap of another version", shrink, root(func(c *disk.Content) { c.Kind, c.Problem, c.Remedy = "swap", "unknown version", "make it anew" }),
			"its swap is not supported: unknown version", "make it anew"},
		{"bootable", shrink, func() disk.Partition { p := plain; p.Attributes |= 1 << 2; return p }(),
			"it is marked as bootable (attribute 2), so a boot loader reads it; it is never encrypted", remedyBoot},
		{"damaged and never convertible", shrink, root(func(c *disk.Content) { c.Kind, c.Problem = "DM_verity_hash", "bad superblock" }),
			"it holds DM_verity_hash, which cannot be converted in place", `set existing = "keep"`},
		{"not a file system", shrink, root(func(c *disk.Content) { c.Kind = "LVM2_member" }),
			"it holds LVM2_member, which cannot be converted in place", `set existing = "keep"`},
		{"size unknown", shrink, root(func(c *disk.Content) { c.Size = 0 }), "its ext4 does not tell its size", `set existing = "keep"`},
		{"larger than its partition", shrink, root(func(c *disk.Content) { c.Size += 4096 }),
			"its ext4 takes 104861696 bytes, more than the partition's 104857600", "the file system is damaged or the partition was cut; repair it first"},
		{"no room", shrink, root(func(c *disk.Content) { c.Free = 4096 }),
			`there is no room for the LUKS2 header: 32 MiB more are needed behind its ext4, and header_room = ["shrink"] gives none`,
			`leave 16 MiB free before the partition (header_room "gap") or 32 MiB behind it ("grow"), or free space in an ext4 or btrfs ("shrink"); "detached:PATH" takes no room here`},
		{"rigid", shrink, root(func(c *disk.Content) { c.Rigid = "its blocks are allocated in clusters (bigalloc)" }),
			`there is no room for the LUKS2 header: 32 MiB more are needed behind its ext4, and header_room = ["shrink"] gives none; its ext4 cannot be made smaller: its blocks are allocated in clusters (bigalloc)`,
			`leave 16 MiB free before the partition (header_room "gap") or 32 MiB behind it ("grow"), or free space in an ext4 or btrfs ("shrink"); "detached:PATH" takes no room here`},
		{"in use elsewhere", shrink, root(func(c *disk.Content) { c.User = `the machine "node-a"` }),
			`its ext4 is in use, or was left without being unmounted, by the machine "node-a", as its multiple mount protection says`,
			`unmount it there; if nobody has it, "tune2fs -f -E clear_mmp" says so`},
		{"small blocks", sectors, root(func(c *disk.Content) { c.BlockSize = 1024 }),
			"the blocks of its ext4 have 1024 bytes, and it could not be mounted from encryption sectors of 4096", "leave sector_size out"},
		{"header lost", detached, root(func(c *disk.Content) { *c = disk.Content{} }),
			"nothing that is known was found in it, and its header /boot/root.header is not there", "if it was encrypted, bring the header back, or nothing will ever open it"},
		{"not believed", rekey, root(func(c *disk.Content) {
			*c = disk.Content{Kind: cryptoLUKS, Version: "2", Problem: `segment 0 is under the cipher "cipher_null-ecb", which encrypts nothing`}
		}), `it holds a LUKS volume that cannot be read: segment 0 is under the cipher "cipher_null-ecb", which encrypts nothing`,
			`look at it with "cryptsetup luksDump"; restore the header from a backup`},
		{"requires what is not known", rekey, asLUKS(plain, func(l *disk.LUKS) {
			l.ReadOnly = `the header requires "new-thing", which is not known here, so it must not be changed`
		}), `its volume is left as it is: the header requires "new-thing", which is not known here, so it must not be changed`,
			`a newer sealpart or cryptsetup may know it; set existing = "keep" to leave the partition alone`},
		{"not done here", rekey, asLUKS(plain, func(l *disk.LUKS) { l.Unsupported = "segment 0 has integrity tags, which are not supported" }),
			"its volume cannot be worked on: segment 0 has integrity tags, which are not supported", `set existing = "keep" to leave the partition alone`},
		{"LUKS1", shrink, root(func(c *disk.Content) { *c = disk.Content{Kind: cryptoLUKS, Version: "1"} }),
			"it holds a LUKS1 volume, and only LUKS2 can be worked on", `"cryptsetup convert --type luks2" makes LUKS2 of it, where its header has room; back the header up first`},
		{"damaged LUKS2", rekey, root(func(c *disk.Content) { *c = disk.Content{Kind: cryptoLUKS, Version: "2", Problem: "no valid copy"} }),
			"it holds a LUKS volume that cannot be read: no valid copy", `look at it with "cryptsetup luksDump"; restore the header from a backup`},
		{"rekey of plain data", rekey, plain,
			`existing = "rekey" is for LUKS2 volumes, and it holds a plain ext4`, `existing = "convert" encrypts a plain file system in place`},
		{"enroll of nothing", volumeAs(definitions.ExistingEnroll, "", tpmKey), root(func(c *disk.Content) { *c = disk.Content{} }),
			`existing = "enroll" is for LUKS2 volumes, and it holds nothing that is known`, `existing = "convert" encrypts a plain file system in place`},
		{"decryption", shrink, pending(volume, "decrypt", "datashift", disk.ReencryptClean),
			"its conversion (decrypt, datashift) was begun by another tool in a form that cannot be gone on with here", `finish it with "cryptsetup reencrypt --resume-only"`},
		{"crash without protection", rekey, pending(volume, "reencrypt", "none", disk.ReencryptCrash),
			"its conversion (reencrypt, none) was begun by another tool without protection, and was cut off: which bytes are encrypted is not known", "restore the partition from a backup"},
		{"without protection", rekey, pending(volume, "reencrypt", "none", disk.ReencryptClean),
			"its conversion (reencrypt, none) was begun by another tool without protection: while it runs it does not write down how far it is, so it may be further than its header says",
			"if that program was stopped and not cut off, finish it with \"cryptsetup reencrypt --resume-only\"; else restore the partition from a backup"},
		{"data outside", rekey, root(func(c *disk.Content) { *c = luks(plain, 1).Content; c.LUKS.DataOffset = disk.GiB }),
			"the data of its volume begins at 1073741824 in sectors of 512 bytes, which cannot be converted", `look at it with "cryptsetup luksDump"`},
	}
	for _, c := range cases {
		_, err := Make(named(c.def), gpt(disk.GiB, c.root), host.Facts{}, options(EmptyRefuse))
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if refusal.Error() != file+c.reason || refusal.Hint() != c.remedy {
			t.Errorf("%s:\n%s\nhint: %s", c.name, refusal, refusal.Hint())
		}
	}
}

// TestSectorSizes: a sector size of the definition must fit its partition; where there is
// none, it is 4096 only where blocks and partition are multiples of that.
func TestSectorSizes(t *testing.T) {
	odd := ext4(there("root", 2048, 204801))
	wants := convertAs("shrink")
	wants.Encryption.SectorSize = 4096
	_, err := Make(named(wants), gpt(disk.GiB, odd), host.Facts{}, options(EmptyRefuse))
	if got := text(err); got != "/usr/lib/sealpart.d/10-root-x86-64.toml: partition 1: its 104858112 bytes are not whole encryption sectors of 4096 bytes" {
		t.Error(got)
	}
	small := ext4(there("root", 2048, 204800))
	small.Content.BlockSize = 1024
	wants = convertAs("shrink")
	wants.Encryption.SectorSize = 1024
	for name, c := range map[string]struct {
		def  definitions.Definition
		root disk.Partition
		want disk.Bytes
	}{
		"whole blocks":  {convertAs("shrink"), ext4(there("root", 2048, 204800)), 4096},
		"odd partition": {convertAs("shrink"), odd, 512},
		"small blocks":  {convertAs("shrink"), small, 512},
		"said":          {wants, ext4(there("root", 2048, 204800)), 1024},
	} {
		p := planned(t, named(c.def), gpt(disk.GiB, c.root), options(EmptyRefuse))
		if got := p.Actions[len(p.Actions)-1].(plan.Reencrypt).Encryption.SectorSize; got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

// TestBtrfsShrinks: where it can be mounted, and to what the kernel lets it.
func TestBtrfsShrinks(t *testing.T) {
	root := ext4(there("root", 2048, 1048576))
	root.Content.Kind = "btrfs"
	small := ext4(there("root", 2048, 524288))
	small.Content.Kind = "btrfs"
	image, ours, theirs := options(EmptyRefuse), host.Facts{Mounts: []string{"btrfs"}}, host.Facts{Mounts: []string{"ext4"}}
	image.LeaveUnmounted = true
	const of = "/usr/lib/sealpart.d/10-root-x86-64.toml: partition 1: "
	for name, c := range map[string]struct {
		root  disk.Partition
		facts host.Facts
		opts  Options
		want  string
	}{
		"here":            {root, ours, options(EmptyRefuse), ""},
		"nothing known":   {root, host.Facts{}, options(EmptyRefuse), ""},
		"in an image":     {root, ours, image, of + "its btrfs gets smaller only where it is mounted, and those in image files are mounted only when asked to"},
		"another kernel":  {root, theirs, options(EmptyRefuse), of + "its btrfs gets smaller only where it is mounted, and it cannot be mounted here"},
		"less than there": {small, ours, options(EmptyRefuse), of + `there is no room for the LUKS2 header: 32 MiB more are needed behind its btrfs, and header_room = ["shrink"] gives none`},
	} {
		_, err := Make(named(convertAs("shrink")), gpt(disk.GiB, c.root), c.facts, c.opts)
		if got := text(err); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	// An image's file system that is not grown here is spoken of, where it could be.
	for kind, facts := range map[string]host.Facts{"ext4": theirs, "xfs": theirs, "vfat": {Mounts: []string{"vfat"}}} {
		grown := ext4(there("root", 2048, 204800))
		grown.Content.Kind = kind
		for _, o := range []Options{image, options(EmptyRefuse)} {
			p, err := Make(named(convertAs("grow")), gpt(disk.GiB, grown), facts, o)
			if err != nil {
				t.Fatal(err)
			}
			said := slices.ContainsFunc(p.Notes, func(n plan.Note) bool {
				return strings.HasSuffix(n.Text, "grows into the volume at the first boot, and not here: file systems in image files are mounted only with --mount")
			})
			if said != (kind == "ext4" && o.LeaveUnmounted) {
				t.Errorf("%s: %v", kind, p.Notes)
			}
		}
	}
}

// TestUnwritable: where the table could not be written nothing is begun, but a plan that
// changes nothing, or makes another table, is none of that.
func TestUnwritable(t *testing.T) {
	foreign := gpt(disk.GiB)
	foreign.Unwritable = "what lies in sector 2 is no partition table"
	over := gpt(disk.GiB, there("srv", 2048, 204800))
	over.Table.LastUsable = 2097151
	over.Partitions[0].Extent = disk.Extent{Offset: disk.GiB - disk.MiB, Size: disk.MiB}
	last := gpt(disk.GiB, there("srv", 2048, 2097118-2048+1))
	const overlap = "/dev/test: partition 1 ends at byte 1073741824, over the backup partition table, which starts at byte 1073724928"
	home := named(want("home", sizes(64*disk.MiB, 64*disk.MiB)))
	for name, c := range map[string]struct {
		defs  []definitions.Definition
		snap  disk.Snapshot
		empty Empty
		want  string
	}{
		"something in the way": {home, foreign, EmptyRefuse, "/dev/test: " + foreign.Unwritable},
		"and nothing to do":    {nil, foreign, EmptyRefuse, ""},
		"and a new table":      {home, foreign, EmptyForce, ""},
		"over the backup":      {home, over, EmptyRefuse, overlap},
		"which goes":           {home, over, EmptyForce, ""},
		"up to the backup":     {named(want("srv", func(d *definitions.Definition) { d.Partition.NoAuto = new(true) })), last, EmptyRefuse, ""},
	} {
		_, err := Make(c.defs, c.snap, host.Facts{}, options(c.empty))
		if got := text(err); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		var refused *TableError
		if c.want != "" && (!errors.As(err, &refused) || refused.Hint() == "") {
			t.Errorf("%s: %T without a hint", name, err)
		}
	}
	cut := gpt(disk.GiB)
	cut.Table.LastUsable = 2097152
	if _, err := Make(home, cut, host.Facts{}, options(EmptyRefuse)); text(err) != "the partition table ends behind the disk: last usable sector 2097152, disk of 1 GiB" {
		t.Error(err)
	}
	if _, err := Make(nil, blank(64*disk.KiB), host.Facts{}, options(EmptyAllow)); text(err) != "a disk of 64 KiB is too small for a partition table and a partition" {
		t.Error(err)
	}
}

// TestOneForTwo: what only one can have is not given to two.
func TestOneForTwo(t *testing.T) {
	same := func(d *definitions.Definition) { d.Partition.UUID = &testSeed }
	none := func(d *definitions.Definition) { d.Partition.UUID = new(uuid.UUID) }
	taken := there("srv", 2048, 2048)
	taken.UUID = testSeed
	split := options(EmptyAllow)
	split.Split = true
	called := func(d *definitions.Definition) { d.Partition.SplitName = "x" }
	off := func(d *definitions.Definition) { d.Partition.SplitName = definitions.SplitOff }
	var many []definitions.Definition
	for range maxSupplements + 1 {
		many = append(many, want("home"))
	}
	for i := range many {
		many = append(many, want("srv", func(d *definitions.Definition) { d.Partition.SupplementFor = fmt.Sprintf("%02d-home", 10*(i+1)) }))
	}
	for name, c := range map[string]struct {
		defs []definitions.Definition
		snap disk.Snapshot
		opts Options
		want string
	}{
		"UUID":           {named(want("home", same), want("srv", same)), blank(disk.GiB), options(EmptyAllow), "20-srv.toml: another partition has the UUID " + testSeed.String()},
		"UUID, foreign":  {named(want("home", same)), gpt(disk.GiB, taken), options(EmptyRefuse), "10-home.toml: another partition has the UUID " + testSeed.String()},
		"no UUID":        {named(want("home", none), want("srv", none)), blank(disk.GiB), options(EmptyAllow), ""},
		"UUID, dropped":  {named(want("home", same), want("srv", same, sizes(2*disk.GiB, 0), priority(1))), blank(disk.GiB), options(EmptyAllow), ""},
		"file":           {named(want("home", called), want("srv", called)), blank(disk.GiB), split, (&splitError{first: "10-home", second: "20-srv", name: "x"}).Error()},
		"file, switched": {named(want("home", called), want("srv", off)), blank(disk.GiB), split, ""},
		"supplements":    {named(many...), blank(disk.GiB), options(EmptyAllow), fmt.Sprintf("%d supplements are more than the %d that can be planned with", maxSupplements+1, maxSupplements)},
	} {
		_, err := Make(c.defs, c.snap, host.Facts{}, c.opts)
		if got := text(err); got != c.want {
			t.Errorf("%s: %s\nwant: %s", name, got, c.want)
		}
	}
}

// TestMissingPrograms: a plan that the machine has not the programs for is refused,
// with the package that has them; and nothing is asked of an unknown machine.
func TestMissingPrograms(t *testing.T) {
	files := func(d *definitions.Definition) {
		d.Filesystem.CopyFiles = []definitions.CopyFile{{Source: "/x", Target: "/"}}
	}
	root := ext4(there("root", 2048, 204800))
	tools := func(names ...string) host.Facts {
		f := host.Facts{Tools: map[string]string{}}
		for _, n := range names {
			f.Tools[n] = "/sbin/" + n
		}
		return f
	}
	cases := []struct {
		def          definitions.Definition
		facts        host.Facts
		reason, pack string
	}{
		{want("home", format("ext4")), tools(), "10-home.toml: a new ext4 takes mkfs.ext4, which is not installed", "e2fsprogs"},
		{want("home", format("ext4")), tools("mkfs.ext4"), "", ""},
		{want("home", format("ext4"), files), tools("mkfs.ext4"), "10-home.toml: a new ext4 takes debugfs, which is not installed", "e2fsprogs"},
		{want("home", format("vfat")), tools("mkfs.vfat"), "", ""},
		{want("home", format("vfat"), files), tools("mkfs.vfat", "mmd"), "10-home.toml: a new vfat takes mcopy, which is not installed", "mtools"},
		{want("home", format("vfat"), files), host.Facts{}, "", ""},
		{want("swap"), tools(), "10-swap.toml: a new swap takes mkswap, which is not installed", "util-linux"},
		{want("home"), tools(), "", ""},
		{convertAs("shrink"), tools("e2fsck"), "10-root-x86-64.toml: partition 1: making its ext4 smaller takes resize2fs, which is not installed", "e2fsprogs"},
		{convertAs("detached:" + headerPath), tools(), "", ""},
	}
	for _, c := range cases {
		_, err := Make(named(c.def), gpt(disk.GiB, root), c.facts, options(EmptyRefuse))
		if c.reason == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Error() != "/usr/lib/sealpart.d/"+c.reason || !strings.Contains(refusal.Hint(), "package "+c.pack+")") {
			t.Errorf("%v, want %s", err, c.reason)
		}
	}
}

// asLUKS is a vendor's volume in place of what a partition holds.
func asLUKS(p disk.Partition, edit func(*disk.LUKS)) disk.Partition {
	p = luks(p, 1)
	edit(p.Content.LUKS)
	return p
}
