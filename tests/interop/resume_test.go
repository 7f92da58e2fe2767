package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

// TestWeFinishCryptsetups kills cryptsetup again and again while it converts, and
// lets us finish a copy of what it left each time.
func TestWeFinishCryptsetups(t *testing.T) {
	b := bench{rig.NewBench(t, 64, 0)}
	image, begun := b.begin(t, 100*2048)
	volume := rig.Copy(t, begun, begun+".copy")
	rng := rand.New(rand.NewPCG(*seed, 1))
	killed := 0
	for range max(*cuts/3, 1) {
		interrupted := b.killCryptsetup(t, volume, rng)
		b.finishCopy(t, image, volume)
		if !interrupted {
			rig.Copy(t, begun, volume)
			continue
		}
		killed++
		if said, ok := b.cryptsetup(t, "repair", volume); !ok { // it does not resume inside a hot zone
			t.Fatalf("repair: %s", said)
		}
	}
	t.Logf("cryptsetup was killed %d times", killed)
	if killed == 0 {
		t.Error("no run was killed")
	}
}

// TestWeFinishOddPartition: on a partition that does not end on a whole block of
// 4096 bytes cryptsetup begins a conversion and then refuses to go on with it.
func TestWeFinishOddPartition(t *testing.T) {
	b := bench{rig.NewBench(t, 20, 0)}
	image, begun := b.begin(t, 56*2048+3)
	b.finishCopy(t, image, begun)
}

// finishCopy puts a volume onto a disk, finishes its conversion there and checks.
func (b bench) finishCopy(t *testing.T, image *simdev.Device, volume string) {
	t.Helper()
	cut := b.withVolume(t, image, volume)
	b.Run(t, cut)
	b.CheckDisk(t, cut)
	if t.Failed() {
		t.FailNow()
	}
}

// begin lets cryptsetup begin a conversion, with everything still to do. It returns
// the disk, and the path of its root partition's content.
func (b bench) begin(t *testing.T, sectors int64) (*simdev.Device, string) {
	t.Helper()
	rig.RunIn(t, fmt.Sprintf(", %d", sectors), "sfdisk", "-q", "-N", "1", b.Path)
	volume := rig.Extract(t, b.Path, "root", filepath.Join(t.TempDir(), "root.luks"))
	if said, ok := b.cryptsetup(t, "reencrypt", "--encrypt", "--init-only", "--reduce-device-size", "32M",
		"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", volume); !ok {
		t.Fatalf("begin: %s", said)
	}
	image, err := os.ReadFile(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	return simdev.New(image), volume
}

// killCryptsetup lets it go on and kills it up to 40 ms after its first write. It
// reports whether the conversion was still going on.
func (b bench) killCryptsetup(t *testing.T, volume string, rng *rand.Rand) (killed bool) {
	t.Helper()
	before := modified(t, volume)
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), "reencrypt", "--resume-only", "--force-offline-reencrypt",
		"--batch-mode", "--key-file", b.Key, volume)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended is looked at below
	for modified(t, volume).Equal(before) {
		select {
		case <-ended:
			return false
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Millisecond))))
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	return cmd.ProcessState.ExitCode() == -1
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
