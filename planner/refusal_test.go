package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/host"
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
		{"small blocks", sectors, root(func(c *disk.Content) { c.BlockSize = 1024 }),
			"the blocks of its ext4 have 1024 bytes, and it could not be mounted from encryption sectors of 4096", "leave sector_size out"},
		{"header lost", detached, root(func(c *disk.Content) { *c = disk.Content{} }),
			"nothing that is known was found in it, and its header /boot/root.header is not there", "if it was encrypted, bring the header back, or nothing will ever open it"},
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
