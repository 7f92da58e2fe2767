package kill

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/tests/rig"
)

// TestInterrupt stops a run in the middle of a conversion, as Ctrl-C does. It ends
// within two seconds with the exit code that the contract has for it, and leaves a
// volume that cryptsetup opens without repair; the next run finishes.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	plain := rig.NewPlain(t, dir, 256)
	image := rig.Copy(t, plain.Path, filepath.Join(dir, "disk.img"))
	cmd := rig.Sealpart(t, plain.Apply(image, "--progress=json")...)
	events, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(events)
	for lines.Scan() && !strings.Contains(lines.Text(), `"hot zone"`) {
	}
	asked := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines.Scan() {
		said = lines.Text()
	}
	_ = cmd.Wait() // what it ended with is looked at below
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d, the last line was: %s", code, said)
	}
	volume := rig.Extract(t, image, "root", filepath.Join(dir, "root.luks"))
	rig.Run(t, "cryptsetup", "open", "--test-passphrase", "--key-file", plain.Key, volume)
	if pending, hot := rig.Conversion(t, volume); !pending || hot {
		t.Errorf("conversion pending: %v, inside a hot zone: %v", pending, hot)
	}
	rig.Must(t, plain.Apply(image)...)
	plain.Check(t, image)
}
