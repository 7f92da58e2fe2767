// Package interop lets cryptsetup finish conversions that we began, and lets us
// finish those that cryptsetup began, wherever the first one was stopped.
package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/tests/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// bench adds what only these tests do.
type bench struct{ *rig.Bench }

// cryptsetup runs it on a volume, with the key file, and returns what it says and
// whether it was content.
func (b bench) cryptsetup(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), append(args, "--batch-mode", "--key-file", b.Key)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

// write writes the root partition of a simulated disk to a file.
func write(t *testing.T, dev *simdev.Device, dir string) string {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	root := snapshot.Partitions[0].Extent
	path := filepath.Join(dir, "root.luks")
	if err := os.WriteFile(path, dev.Bytes()[root.Offset:root.End()], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
