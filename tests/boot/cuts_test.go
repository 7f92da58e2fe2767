package boot

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/tests/rig"
)

var (
	cuts = flag.Int("cuts", 1, "how many first boots to cut off, of each kind")
	seed = flag.Uint64("seed", 0, "seed of the instants; 0 means a new one")
)

// TestPowerCuts pulls the plug of machines in their first boot, at random instants from
// the first write to the disk on. The next boot alone finishes what was begun: nobody
// tells it anything. (What a disk loses of unflushed writes, tests/blklog shows; what
// was written is in the image here however qemu ends. TestHonestCuts does it here.)
func TestPowerCuts(t *testing.T) {
	needAll(t)
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 0))
	m := newMachine(t)
	m.initrd = systemdInitrd(t, m.dir, convertRoot)
	m.cmdline = m.unlock()
	m.cmdline += " systemd.journald.forward_to_console=1"
	unfinished := 0
	for i := range *cuts {
		rig.Copy(t, m.plain.Path, m.disk)
		// A TPM that loses its power too often takes that for an attack and gives nothing
		// out for some minutes; each machine has one of its own.
		m.tpm = t.TempDir()
		m.cutOff(t, time.Duration(rng.Int64N(int64(writing))))
		state := filepath.Join(m.dir, "cut.img")
		rig.Copy(t, m.disk, state)
		if out := rig.Must(t, m.plain.Apply(state, "--dry-run")...); out != "" {
			unfinished++
		}
		m.mustMount(t, "/dev/mapper/root")
		m.plain.CheckFiles(t, m.disk)
		if t.Failed() {
			t.Fatalf("after cut %d; it is in %s", i+1, keep(t, state))
		}
	}
	t.Logf("%d of %d cuts came before the end", unfinished, *cuts)
	if *cuts > 3 && unfinished < *cuts/2 {
		t.Error("that shows little")
	}
}

// TestHonestCuts records what a first boot writes to its disk and flushes, and boots from
// states that a power cut could have left: what was not flushed is there or lost by a seed.
func TestHonestCuts(t *testing.T) {
	needAll(t)
	m := newMachine(t)
	m.initrd, m.cmdline = m.busyboxInitrd(t, convertRoot), "sealpart.device=/dev/vda"
	m.log = rig.File(t, m.dir, "log", "")
	if err := os.Truncate(m.log, 1<<30); err != nil {
		t.Fatal(err)
	}
	m.mustMount(t, "/dev/mapper/root")
	dev := m.recorded(t)
	m.log = ""
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d, %d operations", s, len(dev.Log()))
	rng, sealed := rand.New(rand.NewPCG(s, 1)), m.tpm
	for range *cuts {
		k := rng.IntN(len(dev.Log()) + 1)
		state := make([]byte, dev.Size())
		if _, err := dev.CrashAfter(k, rng).ReadAt(state, 0); err != nil {
			t.Fatal(err)
		}
		rig.File(t, m.dir, filepath.Base(m.disk), string(state))
		m.tpm = filepath.Join(t.TempDir(), "tpm") // it counts how often it lost its power
		rig.Run(t, "cp", "-r", sealed, m.tpm)
		m.mustMount(t, "/dev/mapper/root")
		m.plain.CheckFiles(t, m.disk)
		if t.Failed() {
			t.Fatalf("after operation %d of %d", k, len(dev.Log()))
		}
	}
}

// recorded returns the disk that saw what the log has.
func (m *machine) recorded(t *testing.T) *simdev.Device {
	t.Helper()
	before, err := os.ReadFile(m.plain.Path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Open(m.log)
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

// writing is about how long a first boot writes to the disk.
const writing = 2500 * time.Millisecond

// cutOff boots and cuts the machine off so long after the first write to its disk.
func (m *machine) cutOff(t *testing.T, after time.Duration) {
	t.Helper()
	modified := func() time.Time {
		info, err := os.Stat(m.disk)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	before := modified()
	log, cut := m.run(t, func(string) bool {
		if modified().Equal(before) {
			return false
		}
		time.Sleep(after)
		return true
	})
	if !cut {
		t.Fatalf("nothing is written:\n%s", log)
	}
	t.Logf("cut off %s after the first write", after)
}

// keep moves what shows a failure out of the test's own directory.
func keep(t *testing.T, path string) string {
	t.Helper()
	kept := filepath.Join(os.TempDir(), "sealpart-"+filepath.Base(path))
	return rig.Copy(t, path, kept)
}
