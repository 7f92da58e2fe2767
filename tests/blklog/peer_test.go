package blklog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// peerMegabytes is the size of the file system that cryptsetup encrypts, and peerRoom
// what it takes behind it.
const (
	peerMegabytes = 24
	peerRoom      = 32
)

// end is what becomes of a state when somebody who knows cryptsetup looks after it.
type end string

const (
	whole end = "whole" // every byte is there, in a finished volume or still a file system
	stuck end = "stuck" // a volume that does not open, or whose conversion cannot be finished
	lost  end = "lost"  // something else than what was there
)

// TestPeer cuts the power under cryptsetup's own encryption in place, in the same way
// as under ours in TestPowerCuts, and counts what cannot be saved. Ours must not lose
// a state; theirs is a figure to compare with.
func TestPeer(t *testing.T) {
	b := rig.NewBench(t, peerMegabytes, 0)
	dir := t.TempDir()
	volume := rig.Copy(t, b.Root, filepath.Join(dir, "volume"))
	if err := os.Truncate(volume, (peerMegabytes+peerRoom)<<20); err != nil {
		t.Fatal(err)
	}
	dev := recordPeer(t, volume, b.Key)
	rng, ends := rand.New(rand.NewPCG(*seed, 1)), map[end]int{}
	chosen := places(len(dev.Log()), rng)
	for _, k := range chosen {
		cut := dev.CrashAfter(k, rand.New(rand.NewPCG(*seed, uint64(k))))
		how := rescue(t, b, rig.File(t, dir, "state", string(cut.Bytes())))
		ends[how]++
		if how != whole {
			t.Logf("after operation %d of %d: %s", k, len(dev.Log()), how)
		}
	}
	if how := rescue(t, b, rig.File(t, dir, "state", string(dev.Bytes()))); how != whole {
		t.Errorf("the finished volume is %s: the rescue is wrong, not cryptsetup", how)
	}
	t.Logf("cryptsetup reencrypt --encrypt: %d states of %d operations, %d stuck, %d lost", len(chosen), len(dev.Log()), ends[stuck], ends[lost])
}

// recordPeer lets cryptsetup encrypt a volume through FUSE and returns what the disk
// saw. It works on a loop device above: on the file itself, which it opens both with
// O_DIRECT and without, it does not see what it wrote.
func recordPeer(t *testing.T, volume, key string) *simdev.Device {
	t.Helper()
	return recordRun(t, volume, func(mounted string) {
		loop := strings.TrimSpace(rig.Run(t, "losetup", "-f", "--show", mounted))
		defer rig.Run(t, "losetup", "-d", loop)
		cmd := exec.Command(testenv.Need(t, "cryptsetup"), "reencrypt", "--encrypt", "--batch-mode", "--type", "luks2", "--force-offline-reencrypt",
			"--reduce-device-size", fmt.Sprintf("%dM", peerRoom), "--key-file", key, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", loop)
		cmd.Dir = t.TempDir() // it keeps its header in a file there at first
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cryptsetup: %v\n%s", err, out)
		}
	})
}

// rescue does with a state what cryptsetup's manual says, and tells what comes of it.
func rescue(t *testing.T, b *rig.Bench, state string) end {
	t.Helper()
	cryptsetup := func(args ...string) error { return exec.Command(testenv.Need(t, "cryptsetup"), args...).Run() }
	if cryptsetup("isLuks", state) != nil {
		if rig.Sum(t, state, b.Size) == b.Sum {
			return whole // to be begun again
		}
		return lost
	}
	// What cannot be repaired or resumed shows in the content.
	_ = cryptsetup("repair", "--batch-mode", "--key-file", b.Key, state)
	_ = cryptsetup("reencrypt", "--resume-only", "--batch-mode", "--force-offline-reencrypt", "--key-file", b.Key, state)
	dev, err := blockdev.Open(state, blockdev.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	switch sum, err := b.SumOf(dev); {
	case err != nil:
		return stuck
	case sum != b.Sum:
		return lost
	}
	return whole
}
