package executor

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
)

// TestCrashOnBlankDisk: a run that fills a blank disk is cut off at any place. What it leaves is
// no unknown data to the next run, which may replace nothing, and that finishes. Flash that is
// erased is blank, too.
func TestCrashOnBlankDisk(t *testing.T) {
	for name, empty := range map[string]planner.Empty{"allow": planner.EmptyAllow, "require": planner.EmptyRequire} {
		for _, blank := range []byte{0, 0xff} {
			image := make([]byte, 72*disk.MiB)
			for i := range image {
				image[i] = blank
			}
			uncut := simdev.New(image)
			fillBlank(t, uncut, empty)
			for k := range len(uncut.Log()) {
				cut := uncut.CrashAfter(k, rand.New(rand.NewPCG(20261127, uint64(k))))
				if published(t, cut) {
					break // the table is there
				}
				fillBlank(t, cut, empty)
				if !published(t, cut) {
					t.Fatalf("--empty=%s, of %#x: after operation %d no partition was made", name, blank, k)
				}
			}
		}
	}
}

// fillBlank makes an encrypted partition on a disk that counts as blank.
func fillBlank(t *testing.T, dev *simdev.Device, empty planner.Empty) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planner.Make(loadTOML(t, map[string]string{"10-srv": `partition = { type = "srv" }
encryption = { key = [{ type = "file" }] }`}), snapshot, host.Facts{}, planner.Options{Seed: uuid.MustParse("750b6cd5-c4ae-4012-a15e-7be3c29e6a47"), Empty: empty})
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(t)
	env.Sealers = []Sealer{fileStub{}}
	if _, err := Apply(t.Context(), simTarget{dev, false}, plan, env); err != nil {
		t.Fatal(err)
	}
}

// published reports whether a disk has a table with a partition in it.
func published(t *testing.T, dev *simdev.Device) bool {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	return len(snapshot.Partitions) > 0
}
