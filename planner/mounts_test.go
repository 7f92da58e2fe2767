package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// copies makes a definition copy files.
func copies(source, target string) func(*definitions.Definition) {
	return func(d *definitions.Definition) {
		d.Filesystem.CopyFiles = append(d.Filesystem.CopyFiles, definitions.CopyFile{Source: source, Target: target})
	}
}

// mounted says where a partition belongs.
func mounted(points ...string) func(*definitions.Definition) {
	return func(d *definitions.Definition) {
		for _, p := range points {
			d.Partition.MountPoints = append(d.Partition.MountPoints, definitions.MountPoint{Path: p})
		}
	}
}

// TestLeaveEmpty: what another partition of the plan is mounted over is not copied,
// whatever the root of the copy; what a definition names itself is.
func TestLeaveEmpty(t *testing.T) {
	const runtime = "dev proc run sys tmp var/tmp"
	cases := []struct {
		name  string
		defs  []definitions.Definition
		leave []string // of each copy of the first definition
	}{
		{"root alone", named(want("root", copies("/a", "/"))), []string{runtime}},
		{"from the host", named(want("home", copies("/", "/"))), []string{runtime}},
		{"home and srv by type", named(want("root", copies("/a", "/")), want("home"), want("srv")), []string{"dev home proc run srv sys tmp var/tmp"}},
		{"a place of its own", named(want("root", copies("/a", "/")), want("home", mounted("/data/home"))), []string{"data/home " + runtime}},
		{"usr in usr", named(want("usr", copies("/a", "/"), copies("/b", "/share")), want("linux-generic", mounted("/usr/share/big", "/opt"))), []string{"share/big", "big"}},
		{"named itself", named(want("root", copies("/a", "/home"), copies("/b", "/tmp")), want("home")), []string{"", ""}},
		{"a boot partition", named(want("root", copies("/a", "/")), want("xbootldr")), []string{runtime}},
		{"not a root", named(want("linux-generic", copies("/a", "/")), want("home")), []string{""}},
		{"dropped", named(want("root", copies("/a", "/")), want("home", sizes(8*disk.GiB, 0), priority(1))), []string{runtime}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := planned(t, c.defs, blank(2*disk.GiB), options(EmptyAllow))
			var got []string
			for _, a := range p.Actions {
				if create, ok := a.(plan.Create); ok && create.Filesystem != nil && a.Partition() == 1 {
					for _, f := range create.Filesystem.CopyFiles {
						got = append(got, strings.Join(f.LeaveEmpty, " "))
					}
				}
			}
			if !slices.Equal(got, c.leave) {
				t.Errorf("%q, want %q", got, c.leave)
			}
		})
	}
}

// TestSplitDerived: a file named after a UUID that comes from the root hash gets its
// name when that is known.
func TestSplitDerived(t *testing.T) {
	defs := veritySet()
	for i := range defs {
		defs[i].Partition.SplitName = "%t-%U"
	}
	o := options(EmptyAllow)
	o.Split = true
	p := planned(t, defs, blank(2*disk.GiB), o)
	numbers := map[int]uuid.UUID{1: uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff"), 2: uuid.MustParse("ffeeddcc-bbaa-9988-7766-554433221100")}
	for _, r := range p.Rows {
		if !r.UUIDDerived || !strings.HasSuffix(r.SplitPath, "-"+plan.DerivedUUID) {
			t.Errorf("before: %+v", r)
		}
	}
	p.Resolve(numbers)
	for _, r := range p.Rows {
		if want := "-" + strings.ReplaceAll(numbers[r.Number].String(), "-", ""); !strings.HasSuffix(r.SplitPath, want) {
			t.Errorf("after: %q, want %q at the end", r.SplitPath, want)
		}
	}
}

// TestFstab: a partition is named by the UUID of what is or will be in it, or else by its own.
func TestFstab(t *testing.T) {
	there, bare, made := ext4(there("home", 2048, 204800)), there("srv", 206848, 2048), want("esp", format("vfat"), mounted("/boot"))
	defs := named(want("home", mounted("/home", "/a b")), want("srv", mounted("/srv")), made)
	p := planned(t, defs, gpt(2*disk.GiB, there, bare), options(EmptyRefuse))
	id := p.Actions[0].(plan.Create).Filesystem.UUID
	lines, err := Fstab(p, defs, nil, "")
	want := "UUID=" + there.Content.UUID + " /home ext4 defaults 0 2\nUUID=" + there.Content.UUID + ` /a\040b ext4 defaults 0 2` +
		"\nPARTUUID=" + bare.UUID.String() + " /srv auto defaults 0 2\n" +
		fmt.Sprintf("UUID=%X-%X /boot vfat defaults 0 2\n", id[:2], id[2:4])
	if err != nil || lines != want {
		t.Errorf("%v\n%s\nwant:\n%s", err, lines, want)
	}
}

// TestFstabUnknown: what cannot be named is an error, not a line that does not mount.
func TestFstabUnknown(t *testing.T) {
	luks := there("home", 2048, 204800)
	luks.Content = disk.Content{Kind: "crypto_LUKS", UUID: "a", LUKS: &disk.LUKS{}}
	nameless := want("home", mounted("/home"), func(d *definitions.Definition) { d.Partition.UUID = new(uuid.UUID) })
	for name, c := range map[string]struct {
		defs []definitions.Definition
		snap disk.Snapshot
		want string
	}{
		"a volume": {named(want("home", mounted("/home"))), gpt(2*disk.GiB, luks),
			"10-home.toml: mount_point /home: partition 1 holds a LUKS2 volume, and what is in it is not known without its key"},
		"no UUID": {named(nameless), gpt(2 * disk.GiB),
			"10-home.toml: mount_point /home: partition 1 has neither a file system of a known UUID nor a UUID of its own"},
		"one place for two": {named(want("home", mounted("/x")), want("srv", mounted("/x"))), gpt(2 * disk.GiB),
			"10-home.toml and 20-srv.toml are both mounted at /x"},
	} {
		_, err := Fstab(planned(t, c.defs, c.snap, options(EmptyRefuse)), c.defs, nil, "")
		if got := text(err); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
