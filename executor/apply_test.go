package executor

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestApplyWhole applies everything at once; foreign tools judge the result.
func TestApplyWhole(t *testing.T) {
	t.Parallel()
	for name, zeroes := range map[string]bool{"image file": true, "block device": false} {
		t.Run(name, func(t *testing.T) {
			w := newWhole(t, zeroes)
			dev := simdev.New(w.image)
			p, err := w.plan(dev)
			if err != nil {
				t.Fatal(err)
			}
			w.mustApply(t, dev)
			w.check(t, dev)
			w.judge(t, dev)
			checkPlaces(t, w, p, dev.Log())
			t.Logf("%d operations", len(dev.Log()))
		})
	}
}

// TestApplyAgainWritesNothing: nothing to do is no write, not even a flush.
func TestApplyAgainWritesNothing(t *testing.T) {
	w := newWhole(t, true)
	dev := simdev.New(w.image)
	w.mustApply(t, dev)
	again := simdev.New(dev.Bytes())
	w.mustApply(t, again)
	if n := len(again.Log()); n != 0 {
		t.Errorf("the second run did %d writes and flushes", n)
	}
}

// TestUnlawfulPlanIsNotApplied: whoever made it; the disk is the one that it was made for.
func TestUnlawfulPlanIsNotApplied(t *testing.T) {
	w := newWhole(t, false)
	for want, spoil := range map[string]func(*plan.Plan){
		"invalid plan: partition 1 is foreign and must not go": func(p *plan.Plan) { p.Rows[0].Activity = plan.ActivityDelete },
		"invalid plan: partition 1 is foreign and would change": func(p *plan.Plan) {
			p.Rows[0].Size -= disk.MiB
			p.Rows[0].Activity = plan.ActivityResize
		},
	} {
		dev := simdev.New(w.image)
		made, err := w.plan(dev)
		if err != nil {
			t.Fatal(err)
		}
		spoil(made)
		_, err = Apply(context.Background(), simTarget{dev, false}, made, w.env)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, not %q", err, want)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%d operations on the disk", n)
		}
	}
}

// checkPlaces holds the log against the plan: every write lies in a partition of
// the plan or in the table, and until the table is written, only where there was
// no partition. What is left of space that was given up is only zeroed.
func checkPlaces(t *testing.T, w *whole, p *plan.Plan, log []simdev.Op) {
	t.Helper()
	allowed, published := w.extents(p), false
	for i, op := range log {
		if op.Sync {
			continue
		}
		e := disk.Extent{Offset: disk.Bytes(op.Offset), Size: disk.Bytes(len(op.Data))}
		inside := false
		for _, a := range allowed {
			inside = inside || a.Contains(e)
		}
		goes := func(r plan.Row) bool { return r.Activity == plan.ActivityDelete && r.Contains(e) }
		stays := func(r plan.Row) bool { return r.Overlaps(e) || r.Old != nil && r.Old.Overlaps(e) }
		givenUp := slices.ContainsFunc(p.Rows, goes) || p.Leftovers == plan.LeftoversDiscard && !slices.ContainsFunc(p.Rows, stays)
		inside = inside || givenUp && bytes.Equal(op.Data, make([]byte, len(op.Data)))
		if !inside {
			t.Errorf("operation %d writes %d bytes at %d, which is in no partition of the plan", i, e.Size, e.Offset)
		}
		published = published || allowed[0].Contains(e) || allowed[1].Contains(e)
		if !published && e.Overlaps(wholeRoot) {
			t.Errorf("operation %d writes at %d, into a partition, before the table is written", i, e.Offset)
		}
	}
}

// judge asks foreign tools about everything on the disk.
func (w *whole) judge(t testing.TB, dev *simdev.Device) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	image := file("disk", dev.Bytes())
	tool(t, "sfdisk", "--verify", image)
	if out := tool(t, "sgdisk", "-v", image); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	key := file("key", []byte(passphrase))
	for _, name := range []string{"root", "srv"} {
		tool(t, "cryptsetup", "open", "--test-passphrase", "--key-file", key, file(name+".luks", w.part(t, dev, name)))
		tool(t, "e2fsck", "-fn", file(name, w.decrypted(t, dev, name)))
	}
	tool(t, "e2fsck", "-fn", file("var", w.part(t, dev, "var")))
	motd, err := os.ReadFile(filepath.Join(w.env.Root, "tree/etc/motd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"srv", "var"} {
		if out := tool(t, "debugfs", "-R", "cat /etc/motd", file(name, w.plainPart(t, dev, name))); !strings.Contains(out, string(motd)) {
			t.Errorf("%s: the file that was copied in reads back differently", name)
		}
	}
	if !bytes.Equal(w.part(t, dev, "usr"), usrImage()) {
		t.Error("usr: the blocks that were copied in differ")
	}
	tool(t, "veritysetup", "verify", file("usr", w.part(t, dev, "usr")), file("hash", w.part(t, dev, "usr-verity")), w.rootHash(t, dev))
}

// plainPart returns what a partition holds, decrypted where need be.
func (w *whole) plainPart(t testing.TB, dev *simdev.Device, name string) []byte {
	t.Helper()
	if name == "srv" {
		return w.decrypted(t, dev, name)
	}
	return w.part(t, dev, name)
}

// tool runs a foreign tool, which must be content.
func tool(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, program), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
