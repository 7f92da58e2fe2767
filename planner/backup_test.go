package planner

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// backedUp is a definition the copy of whose header goes to a partition.
func backedUp(in string, d definitions.Definition) definitions.Definition {
	e := *d.Encryption
	e.HeaderBackup, e.HeaderBackupIn = "/root.header", in
	d.Encryption = &e
	return d
}

// vfat fills a partition with a file system to boot from.
func vfat(p disk.Partition) disk.Partition {
	p.Content = disk.Content{Kind: "vfat", Size: p.Size, BlockSize: 512}
	return p
}

// TestBackupPartition: the partition for the copy of a header is named by its number, its
// label or its type, and its name reaches every action that writes a header.
func TestBackupPartition(t *testing.T) {
	esp := vfat(there("esp", 409600, 102400))
	boot := plan.Mounted{Number: 2, Extent: esp.Extent, Filesystem: "vfat"}
	esp.Name = "firmware"
	root := there("root", 2048, 204800)
	for _, in := range []string{"2", "firmware", "esp"} {
		for name, c := range map[string]struct {
			def  definitions.Definition
			root disk.Partition
		}{
			"convert": {convertAs("grow"), ext4(root)},
			"rekey":   {volumeAs(definitions.ExistingRekey, vendorKey, tpmKey), luks(root, 1)},
			"enroll":  {volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey), luks(root, 1)},
		} {
			p := planned(t, named(backedUp(in, c.def)), gpt(disk.GiB, c.root, esp), options(EmptyRefuse))
			if diff := cmp.Diff(&boot, backupOf(p.Actions[len(p.Actions)-1])); diff != "" {
				t.Errorf("%s in %q: -want +got\n%s", name, in, diff)
			}
		}
	}
	// What the plan makes itself is there by then.
	p := planned(t, named(want("esp", format("vfat"), sizes(64*disk.MiB, 64*disk.MiB)), backedUp("esp", want("root", encrypted))), blank(disk.GiB), options(EmptyAllow))
	if diff := cmp.Diff(&plan.Mounted{Number: 1, Extent: p.Rows[0].Extent, Filesystem: "vfat"}, backupOf(p.Actions[1])); diff != "" {
		t.Errorf("made in the same plan: -want +got\n%s", diff)
	}
}

func backupOf(a plan.Action) *plan.Mounted {
	switch a := a.(type) {
	case plan.Create:
		return a.Encryption.HeaderBackupIn
	case plan.Reencrypt:
		return a.Encryption.HeaderBackupIn
	case plan.Enroll:
		return a.HeaderBackupIn
	}
	return nil
}

// TestBackupRefused: a copy that could not be made, or would be of no use, is refused.
func TestBackupRefused(t *testing.T) {
	esp, twin := vfat(there("esp", 409600, 102400)), vfat(there("esp", 512000, 2048))
	twin.Name = "other"
	unclean := ext4(there("srv", 409600, 102400))
	unclean.Content.Unclean = true
	sealed := luks(there("srv", 409600, 102400), 1)
	untyped := there("srv", 409600, 102400)
	untyped.Type, untyped.Name = uuid.Nil, "x"
	onlyExt4 := host.Facts{Mounts: []string{"ext4"}}
	unmounted := options(EmptyRefuse)
	unmounted.LeaveUnmounted = true
	made := want("srv", encrypted, sizes(64*disk.MiB, 64*disk.MiB))
	for name, c := range map[string]struct {
		in     string
		second disk.Partition
		more   []disk.Partition
		also   []definitions.Definition
		facts  host.Facts
		opts   Options
		reason string
	}{
		"nowhere":          {"nosuch", esp, nil, nil, host.Facts{}, options(EmptyRefuse), `0 partitions have the number, label or type "nosuch"`},
		"a number beyond":  {"9", esp, nil, nil, host.Facts{}, options(EmptyRefuse), `0 partitions have the number, label or type "9"`},
		"an unused type":   {"home", untyped, nil, nil, host.Facts{}, options(EmptyRefuse), `0 partitions have the number, label or type "home"`},
		"in two":           {"esp", esp, []disk.Partition{twin}, nil, host.Facts{}, options(EmptyRefuse), `2 partitions have the number, label or type "esp"`},
		"in itself":        {"1", esp, nil, nil, host.Facts{}, options(EmptyRefuse), `"1" is the partition itself, which does not open without its header`},
		"no file system":   {"2", there("srv", 409600, 102400), nil, nil, host.Facts{}, options(EmptyRefuse), "partition 2 holds no plain file system"},
		"a volume":         {"2", sealed, nil, nil, host.Facts{}, options(EmptyRefuse), "partition 2 holds no plain file system"},
		"a volume to be":   {"srv", esp, nil, []definitions.Definition{made}, host.Facts{}, options(EmptyRefuse), "partition 3 holds no plain file system"},
		"encrypted by it":  {"2", ext4(there("srv", 409600, 409600)), nil, []definitions.Definition{backedUp("", srvConverted())}, host.Facts{}, options(EmptyRefuse), "partition 2 holds no plain file system"},
		"unclean":          {"2", unclean, nil, nil, host.Facts{}, options(EmptyRefuse), "the ext4 of partition 2 was not unmounted cleanly; check it first"},
		"of an image file": {"2", esp, nil, nil, host.Facts{}, unmounted, "the vfat of partition 2 would have to be mounted, and those in image files are only when asked to"},
		"not mountable":    {"2", esp, nil, nil, onlyExt4, options(EmptyRefuse), "the vfat of partition 2 cannot be mounted here"},
	} {
		defs := named(append([]definitions.Definition{backedUp(c.in, convertAs("grow"))}, c.also...)...)
		snap := gpt(disk.GiB, append([]disk.Partition{ext4(there("root", 2048, 204800)), c.second}, c.more...)...)
		_, err := Make(defs, snap, c.facts, c.opts)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Error() != "/usr/lib/sealpart.d/10-root-x86-64.toml: partition 1: header_backup: "+c.reason || refusal.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What this machine can mount is not refused, nor what is not known of it.
	clean := gpt(disk.GiB, ext4(there("root", 2048, 204800)), esp)
	for _, facts := range []host.Facts{{}, {Mounts: []string{"vfat"}}} {
		if _, err := Make(named(backedUp("2", convertAs("grow"))), clean, facts, options(EmptyRefuse)); err != nil {
			t.Error(err)
		}
	}
}

// srvConverted is a definition by which the plain data of a srv is encrypted.
func srvConverted() definitions.Definition {
	return want("srv", encrypted, func(d *definitions.Definition) {
		d.Encryption.Existing, d.Encryption.HeaderRoom = definitions.ExistingConvert, []string{"shrink"}
		d.Partition.Weight = 0
	})
}
