package probe

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestSignatures: what is erased where Signatures says, and where a new table has its own
// sectors, is found by nobody any more.
func TestSignatures(t *testing.T) {
	erased := func(name, path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size := info.Size()
		patch(t, path, 0, make([]byte, 34*512))
		patch(t, path, size-33*512, make([]byte, 33*512))
		for range 3 {
			for _, e := range signaturesOf(t, path) {
				patch(t, path, int64(e.Offset), make([]byte, e.Size))
			}
		}
		out, err := exec.Command(testenv.Need(t, "wipefs"), "-n", path).CombinedOutput()
		if err != nil || len(strings.TrimSpace(string(out))) > 0 {
			t.Errorf("%s: wipefs finds %s, %v", name, out, err)
		}
		if c := probed(t, path); c.Kind != "" {
			t.Errorf("%s: we find %+v", name, c)
		}
	}
	path := mkfs(t, device, "true")
	for _, s := range samples {
		for at, bytes := range s.put {
			patch(t, path, placed(at), []byte(bytes))
		}
		erased(s.kind, path)
	}
	for _, c := range handmade {
		head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
		c.fill(head, tail)
		path := mkfs(t, device, "true")
		patch(t, path, 0, head)
		patch(t, path, device-1<<20, tail)
		erased(c.name, path)
	}
	for _, c := range made {
		if c.size > 0 && c.kind != "xfs" {
			erased(c.kind, mkfs(t, c.size, c.command))
		}
	}
}

// TestBtrfsCopies: the copies of btrfs's superblock are marks as well as the first.
func TestBtrfsCopies(t *testing.T) {
	path := mkfs(t, 300*disk.MiB, "mkfs.btrfs -q IMG")
	if got := fmt.Sprint(signaturesOf(t, path)); !strings.Contains(got, fmt.Sprint(disk.Extent{Offset: 64<<10 + 64, Size: 8})) || !strings.Contains(got, fmt.Sprint(disk.Extent{Offset: 64<<20 + 64, Size: 8})) {
		t.Errorf("signatures are %s", got)
	}
}

func signaturesOf(t *testing.T, path string) []disk.Extent {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, _ := file.Stat()
	places, err := Signatures(file, disk.Bytes(info.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return places
}
