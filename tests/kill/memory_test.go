package kill

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// maxRSS is what a conversion may take of memory, whatever the size of the partition.
const maxRSS = 96 << 20

// TestMemoryIsBounded converts partitions of two sizes, on this machine's disk and in
// memory, where mapped pages of the image count as the program's.
func TestMemoryIsBounded(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "sealpart-memory-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shm) })
	for where, dir := range map[string]string{"disk": t.TempDir(), "tmpfs": shm} {
		for _, megabytes := range []int64{64, 512} {
			dir := filepath.Join(dir, where, string(rune('0'+megabytes/512)))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			plain := rig.NewPlain(t, dir, megabytes)
			begun := plain.Begin(t, filepath.Join(dir, "begun.img"))
			// The kernel counts in what this process has when it starts the other: what
			// the files were made of, too, until it is given back.
			debug.FreeOSMemory()
			if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
				t.Fatal(err)
			}
			cmd := rig.Sealpart(t, plain.Apply(begun)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			t.Logf("%d MiB on %s: %d MiB", megabytes, where, rss>>20)
			if rss > maxRSS {
				t.Errorf("%d MiB on %s took %d MiB of memory", megabytes, where, rss>>20)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}
