package kill

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
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
		for _, megabytes := range []int64{64, 256} {
			dir := filepath.Join(dir, where, string(rune('0'+megabytes/256)))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			plain := rig.NewPlain(t, dir, megabytes)
			begun := plain.Begin(t, filepath.Join(dir, "begun.img"))
			checkPeak(t, fmt.Sprintf("%d MiB on %s", megabytes, where), plain.Apply(begun)...)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// twoDefinitions convert a root and a srv in one run.
var twoDefinitions = map[string]string{
	"10-root.toml": twoDefinition("root"),
	"20-srv.toml":  twoDefinition("srv"),
}

func twoDefinition(name string) string {
	return fmt.Sprintf("partition = { type = %q, weight = 0 }\nencryption = { existing = \"convert\", header_room = \"grow\", key = [{ type = \"file\" }] }\n", name)
}

// TestMemoryOfTwo converts two partitions at once, in memory: they share what one may take.
func TestMemoryOfTwo(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sealpart-memory-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	key, defs := rig.File(t, dir, "key", "a key file"), filepath.Join(dir, "defs")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range twoDefinitions {
		rig.File(t, defs, name, text)
	}
	image := rig.File(t, dir, "disk.img", "")
	if err := os.Truncate(image, 640<<20); err != nil {
		t.Fatal(err)
	}
	rig.RunIn(t, "label: gpt\nstart=2048, size=524288, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709\nstart=659456, size=524288, type=3B8F8425-20E0-4F3B-907F-1A25A76F98E8\n", "sfdisk", "-q", image)
	for _, offset := range []string{"1048576", "337641472"} {
		rig.Run(t, testenv.Need(t, "mkfs.ext4"), "-q", "-E", "offset="+offset, image, "256M")
	}
	checkPeak(t, "twice 256 MiB on tmpfs", "apply", "--definitions", defs, "--key-file", key, image)
	if said := rig.Must(t, "inspect", image); strings.Count(said, "LUKS2") < 2 {
		t.Errorf("not both were converted:\n%s", said)
	}
}

// checkPeak runs sealpart and demands that it stays within maxRSS.
func checkPeak(t *testing.T, what string, args ...string) {
	t.Helper()
	// The kernel counts in what this process has when it starts the other: what the
	// files were made of, too, until it is given back.
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	cmd := rig.Sealpart(t, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	t.Logf("%s: %d MiB", what, rss>>20)
	if rss > maxRSS {
		t.Errorf("%s took %d MiB of memory", what, rss>>20)
	}
}
