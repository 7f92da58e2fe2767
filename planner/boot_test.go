package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// TestNeverEncrypted: what is read where nobody can unlock it is refused, whatever is in it
// and wherever its header could go; left alone, it is no reason to refuse anything.
func TestNeverEncrypted(t *testing.T) {
	for typ, reason := range map[string]string{
		"esp":                                  "it is an EFI system partition, which firmware reads; it is never encrypted",
		"xbootldr":                             "it is an extended boot loader partition, which the boot loader reads; it is never encrypted",
		"21686148-6449-6e6f-744e-656564454649": "it is a BIOS boot partition, which a boot loader reads; it is never encrypted",
		"9e1a2d38-c612-4316-aa26-8b49521e5a8b": "it is a PowerPC PReP boot partition, which firmware reads; it is never encrypted",
		"af9b60a0-1431-4f62-bc68-3311714a69ad": "it is a part of a Windows dynamic disk (LDM); it is never encrypted",
	} {
		for _, room := range []string{"gap", "grow", "shrink", "detached:" + headerPath} {
			def := want(typ, func(d *definitions.Definition) {
				d.Encryption = &definitions.Encryption{Existing: definitions.ExistingConvert, HeaderRoom: []string{room}, Keys: []definitions.Key{tpmKey}}
			})
			p := there(typ, 65536, 204800)
			p.Content = disk.Content{Kind: "vfat", Size: 50 * disk.MiB, BlockSize: 512}
			_, err := Make(named(def), gpt(disk.GiB, p), host.Facts{}, options(EmptyRefuse))
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != reason || refusal.Remedy != remedyBoot {
				t.Errorf("%s, %s: %v", typ, room, err)
			}
			def.Encryption.Existing = definitions.ExistingKeep
			if p, err := Make(named(def), gpt(disk.GiB, p), host.Facts{}, options(EmptyRefuse)); err != nil || len(p.Actions) > 1 {
				t.Errorf("%s is not left alone: %v", typ, err)
			}
		}
	}
}

// TestMember: nothing is written to a disk that belongs to an array, unless all of it is to go;
// where there is nothing to do, it is no error.
func TestMember(t *testing.T) {
	snap := gpt(disk.GiB, ext4(there("root", 2048, 204800)))
	snap.Member = &disk.Content{Kind: "linux_raid_member", Label: "host:0", UUID: "1-2", At: 123456}
	var refused *TableError
	for _, def := range []definitions.Definition{want("home"), convertAs("shrink"), want("root", sizes(200*disk.MiB, disk.GiB))} {
		_, err := Make(named(def), snap, host.Facts{}, options(EmptyRefuse))
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "linux_raid_member host:0 1-2, by its metadata at byte 123456") || !strings.Contains(refused.Hint(), "wipefs") {
			t.Errorf("%s: %v", def.Name, err)
		}
	}
	if p, err := Make(named(want("root", sizes(100*disk.MiB, 100*disk.MiB))), snap, host.Facts{}, options(EmptyRefuse)); err != nil || !p.Empty() {
		t.Errorf("nothing to do: %v", err)
	}
	if _, err := Make(named(want("home")), snap, host.Facts{}, options(EmptyForce)); err != nil {
		t.Errorf("all is to go: %v", err)
	}
}
