// Package kill ends the program at random instants, again and again on one image,
// and then lets it finish.
package kill

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/tests/rig"
)

var (
	kills = flag.Int("kills", 50, "how often to kill a run")
	seed  = flag.Uint64("seed", 0, "seed of the instants; 0 means a new one")
)

func TestMain(m *testing.M) { rig.Main(m) }

// instants returns where the instants come from.
func instants(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// TestKilledWhileConverting kills runs that go on with a conversion. The volume was
// begun by cryptsetup, whose keyslot here costs nothing to open, so that the time
// goes into hot zones. Whenever a run got to its end, a new image is begun.
func TestKilledWhileConverting(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 256)
	begun := plain.Begin(t, filepath.Join(dir, "begun.img"))
	killAgain(t, plain, begun, *kills)
}

// TestKilledInMemory is like TestKilledWhileConverting, of an image on a tmpfs, where
// bytes are changed in place instead of being written.
func TestKilledInMemory(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sealpart-kill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	plain := rig.NewPlain(t, dir, 256)
	begun := plain.Begin(t, filepath.Join(dir, "begun.img"))
	killAgain(t, plain, begun, *kills)
}

// TestKilledWhileBeginning kills runs that begin with a plain file system. Each of
// them makes a key first, which takes its time, so there are fewer.
func TestKilledWhileBeginning(t *testing.T) {
	plain := rig.NewPlain(t, t.TempDir(), 48)
	killAgain(t, plain, plain.Path, (*kills+9)/10)
}

// killAgain kills n runs on copies of an image and lets the last one finish.
func killAgain(t *testing.T, plain rig.Plain, from string, n int) {
	t.Helper()
	rng := instants(t)
	image, finished := rig.Copy(t, from, from+".copy"), 0
	for range n {
		if !killed(t, plain, image, rng) {
			finished++
			plain.Check(t, image)
			rig.Copy(t, from, image)
		}
	}
	rig.Must(t, plain.Apply(image)...)
	plain.Check(t, image)
	t.Logf("%d runs of %d were killed", n-finished, n)
	if finished > n/2 {
		t.Errorf("%d of %d runs ended before they were killed; the test shows little", finished, n)
	}
}

// killed runs apply and kills it up to 40 ms after its first write. It reports whether
// the run was still going on.
func killed(t *testing.T, plain rig.Plain, image string, rng *rand.Rand) bool {
	t.Helper()
	cmd := rig.Sealpart(t, plain.Apply(image)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	before := modified(t, image)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for modified(t, image).Equal(before) {
		select {
		case err := <-ended:
			return judgeEnd(t, err, &said)
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Millisecond))))
	_ = cmd.Process.Kill() // it may have ended
	return judgeEnd(t, <-ended, &said)
}

// judgeEnd tells a killed run from a finished one; it may not end in another way.
func judgeEnd(t *testing.T, err error, said *bytes.Buffer) (killed bool) {
	t.Helper()
	if err == nil {
		return false
	}
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != -1 {
		t.Fatalf("apply: %v\n%s", err, said)
	}
	return true
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
