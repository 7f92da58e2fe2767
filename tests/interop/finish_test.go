package interop

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/tests/rig"
)

var (
	cuts = flag.Int("cuts", 24, "power cuts to try, spread over all operations of a conversion; 0 means all")
	seed = flag.Uint64("seed", 20261122, "seed of the sectors that a power cut loses")
)

// TestCryptsetupFinishesOurs cuts the power during our conversion and gives what is
// left to cryptsetup: repair, then resume. Where it knows the volume at all, it must
// finish it, byte for byte. Where it does not yet, repair must do no harm: our next
// run must still finish.
func TestCryptsetupFinishesOurs(t *testing.T) {
	b := bench{rig.NewBench(t, 12, disk.MiB)}
	image, err := os.ReadFile(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	uncut := simdev.New(image)
	b.Run(t, uncut)
	b.CheckDisk(t, uncut)
	theirs, ours := 0, 0
	for i, k := range b.places(len(uncut.Log())) {
		cut := uncut.CrashAfter(k, rand.New(rand.NewPCG(*seed, uint64(k))))
		if b.finishedByCryptsetup(t, cut) {
			theirs++
		} else {
			ours++
		}
		if t.Failed() {
			t.Fatalf("cut %d, after operation %d of %d", i, k, len(uncut.Log()))
		}
	}
	t.Logf("cryptsetup finished %d conversions; it did not know %d volumes yet, or nothing was left for it", theirs, ours)
	if theirs < ours/2 {
		t.Error("cryptsetup had too little to do")
	}
}

// places spreads the cuts over n operations.
func (b bench) places(n int) []int {
	count := *cuts
	if count == 0 || count > n {
		count = n
	}
	var places []int
	rng := rand.New(rand.NewPCG(*seed, 0))
	for i := range count {
		from, to := i*(n+1)/count, (i+1)*(n+1)/count
		places = append(places, from+rng.IntN(to-from))
	}
	return places
}

// finishedByCryptsetup lets cryptsetup do what it can, and us the rest. It tells
// whether cryptsetup finished a conversion.
func (b bench) finishedByCryptsetup(t *testing.T, cut *simdev.Device) bool {
	t.Helper()
	volume := write(t, cut, t.TempDir())
	_, known := b.cryptsetup(t, "isLuks", volume)
	if said, ok := b.cryptsetup(t, "repair", volume); known && !ok {
		t.Errorf("repair: %s", said)
	}
	said, finished := b.cryptsetup(t, "reencrypt", "--resume-only", "--force-offline-reencrypt", volume)
	if known && !finished && !strings.Contains(said, "not in reencryption") && !strings.Contains(said, "not in progress") {
		t.Errorf("resume: %s", said)
	}
	if finished {
		b.checkFile(t, volume)
	}
	again := b.withVolume(t, cut, volume)
	b.Run(t, again)
	b.CheckDisk(t, again)
	return finished
}

// checkFile does what check does to a volume in a file.
func (b bench) checkFile(t *testing.T, volume string) {
	t.Helper()
	if said, ok := b.cryptsetup(t, "open", "--test-passphrase", volume); !ok {
		t.Errorf("open: %s", said)
	}
	file, err := blockdev.Open(volume, blockdev.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b.CheckContent(t, file)
}

// withVolume returns a disk whose root is what a file holds now.
func (b bench) withVolume(t *testing.T, dev *simdev.Device, volume string) *simdev.Device {
	t.Helper()
	content, err := os.ReadFile(volume)
	if err != nil {
		t.Fatal(err)
	}
	image := dev.Bytes()
	copy(image[1<<20:len(image)-1<<20], content)
	return simdev.New(image)
}
