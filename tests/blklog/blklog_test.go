// Package blklog records what the built program writes and flushes, as a disk would
// see it, and cuts the power in between. Nothing of the program knows about it: it
// works on a file of FUSE, behind which qemu-storage-daemon writes a log.
package blklog

import (
	"flag"
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

var (
	states = flag.Int("states", 24, "states to try, spread over all operations of each run; 0 means all")
	seed   = flag.Uint64("seed", 20261122, "seed of the places and of the sectors that a power cut loses")
)

func TestMain(m *testing.M) { rig.Main(m) }

// TestPowerCuts records a run that begins with a plain file system and one that goes
// on with what cryptsetup began. From every state that a power cut could have left,
// another run finishes, with every byte as it was.
func TestPowerCuts(t *testing.T) {
	b := rig.NewBench(t, 24, 0)
	begun := b.Begin(t, filepath.Join(t.TempDir(), "begun.img"))
	for name, image := range map[string]string{"plain": b.Path, "begun": begun} {
		t.Run(name, func(t *testing.T) {
			dev := record(t, b.Plain, image)
			b.CheckDisk(t, dev)
			rng := rand.New(rand.NewPCG(*seed, 0))
			for _, k := range places(len(dev.Log()), rng) {
				cut := dev.CrashAfter(k, rand.New(rand.NewPCG(*seed, uint64(k))))
				b.Run(t, cut)
				b.CheckDisk(t, cut)
				if t.Failed() {
					t.Fatalf("after operation %d of %d", k, len(dev.Log()))
				}
			}
			t.Logf("%d operations", len(dev.Log()))
		})
	}
}

// places spreads -states places over n operations.
func places(n int, rng *rand.Rand) []int {
	count := min(*states, n)
	if count == 0 {
		count = n
	}
	var chosen []int
	for i := range count {
		from, to := i*(n+1)/count, (i+1)*(n+1)/count
		chosen = append(chosen, from+rng.IntN(to-from))
	}
	return chosen
}

// record applies to an image through FUSE and returns what the disk saw.
func record(t *testing.T, plain rig.Plain, image string) *simdev.Device {
	t.Helper()
	return recordRun(t, image, func(mounted string) { rig.Must(t, plain.Apply(mounted)...) })
}

// recordRun lets run work on an image through FUSE and returns what the disk saw.
func recordRun(t *testing.T, image string, run func(mounted string)) *simdev.Device {
	t.Helper()
	dir := t.TempDir()
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	stop, mounted := export(t, rig.Copy(t, image, filepath.Join(dir, "disk.img")), dir)
	held, err := os.OpenFile(mounted, os.O_RDWR, 0) // a close is a flush: the program's must not hide that one is missing
	if err != nil {
		t.Fatal(err)
	}
	run(mounted)
	held.Close()
	stop()
	log, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	dev := simdev.New(before)
	if err := rig.Replay(log, dev); err != nil {
		t.Fatal(err)
	}
	return dev
}

// export starts qemu-storage-daemon, which shows image as a file and logs to
// dir/log. stop ends it.
func export(t *testing.T, image, dir string) (stop func(), mounted string) {
	t.Helper()
	mounted, log := rig.File(t, dir, "mounted", ""), rig.File(t, dir, "log", "")
	if err := os.Truncate(log, 1<<30); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testenv.Need(t, "qemu-storage-daemon"),
		"--blockdev", "driver=file,node-name=disk,filename="+image,
		"--blockdev", "driver=file,node-name=log,filename="+log,
		"--blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512,log-super-update-interval=1",
		"--export", "type=fuse,id=export,node-name=logged,mountpoint="+mounted+",writable=on")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() } // the second time it has ended
	t.Cleanup(stop)
	for range 1000 {
		if info, err := os.Stat(mounted); err == nil && info.Size() > 0 {
			return stop, mounted
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("qemu-storage-daemon exports nothing")
	return stop, mounted
}
