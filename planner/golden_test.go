package planner

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

var update = flag.Bool("update", false, "write the plans as they are into testdata/plans; review them as what apply goes by")

// goldenPlan is a plan that stands for one kind or mode of action. Its name begins
// with the kind.
type goldenPlan struct {
	name string
	defs []definitions.Definition
	snap disk.Snapshot
	opts Options
}

func goldenPlans() []goldenPlan {
	root, home := there("root", 2048, 204800), want("home", sizes(64*disk.MiB, 64*disk.MiB), format("ext4"))
	front := ext4(there("root", 2048+int64(Shift/512), 204800))
	cautious := convertAs("shrink")
	cautious.Encryption.FreeSpace, cautious.Encryption.Unavailable = definitions.FreeDiscard, definitions.UnavailableLeave
	cautious.Encryption.Trailing = definitions.TrailingDiscard
	cautious.Encryption.HeaderBackup, cautious.Encryption.HeaderSize = "/var/backup/root", disk.MiB
	header := luks(root, 1).Content
	header.LUKS.DataOffset = 0
	begun := options(EmptyRefuse)
	begun.Headers = map[string]disk.Content{headerPath: pending(disk.Partition{Content: header}, "encrypt", "journal", disk.ReencryptCrash).Content}
	o := options(EmptyRefuse)
	return []goldenPlan{
		{"create", named(home), gpt(disk.GiB), o},
		{"create-encrypted", named(want("home", encrypted, sizes(64*disk.MiB, 64*disk.MiB))), gpt(disk.GiB), o},
		{"verity", veritySet(), gpt(disk.GiB), o},
		{"grow", named(want("root", sizes(200*disk.MiB, 200*disk.MiB))), gpt(disk.GiB, root), o},
		{"enroll", named(volumeAs(definitions.ExistingEnroll, vendorKey, tpmKey, fileKey)), gpt(disk.GiB, luks(root, 1)), o},
		{"reencrypt-grow", named(convertAs("grow")), gpt(disk.GiB, ext4(root)), o},
		{"reencrypt-shrink", named(cautious), gpt(disk.GiB, ext4(root)), o},
		{"reencrypt-gap", named(convertAs("gap")), gpt(disk.GiB, front), o},
		{"reencrypt-detached", named(convertAs("detached:" + headerPath)), gpt(disk.GiB, ext4(root)), o},
		{"reencrypt-detached-resume", named(convertAs("detached:" + headerPath)), gpt(disk.GiB, root), begun},
		{"reencrypt-resume", named(convertAs("shrink")), gpt(disk.GiB, pending(luks(root, 1), "encrypt", "datashift", disk.ReencryptClean)), o},
		{"reencrypt-rekey", named(volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)), gpt(disk.GiB, luks(root, 1)), o},
		{"reencrypt-rekey-resume", named(volumeAs(definitions.ExistingRekey, vendorKey, tpmKey)), gpt(disk.GiB, pending(luks(root, 1), "reencrypt", "checksum", disk.ReencryptCrash)), o},
		{"reencrypt-mbr", named(matching(byFilesystem, convertAs("shrink"))), pi(), o},
	}
}

func veritySet() []definitions.Definition {
	data := want("root", sizes(64*disk.MiB, 64*disk.MiB), verityRole(definitions.VerityData))
	return named(data, want("root-verity", verityRole(definitions.VerityHash)))
}

// TestGoldenPlans compares the JSON of every kind and mode of plan, which is what
// other programs read, with the one that was reviewed. No kind may be without one.
func TestGoldenPlans(t *testing.T) {
	kinds := plan.Kinds()
	for _, g := range goldenPlans() {
		p := planned(t, g.defs, g.snap, g.opts)
		got, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		path := filepath.Join("testdata", "plans", g.name+".json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs; it is now\n%s", path, got)
		}
		kind, _, _ := strings.Cut(g.name, "-")
		if !slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return a.Kind() == kind }) {
			t.Errorf("%s has no action of that kind", g.name)
		}
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == kind })
	}
	if len(kinds) > 0 {
		t.Errorf("no golden plan for %v", kinds)
	}
}
