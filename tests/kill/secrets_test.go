package kill

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

// TestNoKeyInMemory stops a conversion in the middle and looks through all its memory: the
// key that the volume opens by was used and is nowhere any more, nor a half of it.
func TestNoKeyInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root reads the memory of a process that allows no core dumps")
	}
	plain := rig.NewPlain(t, t.TempDir(), 256)
	key := make([]byte, 48)
	_, _ = rand.Read(key) // never fails
	plain.Key = rig.File(t, t.TempDir(), "key", string(key))
	cmd := rig.Sealpart(t, plain.Apply(plain.Path, "--progress", "json")...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "hot zone") {
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	seen := searchMemory(t, cmd.Process.Pid, map[string][]byte{
		"the key": key, "its first half": key[:24], "its second half": key[24:], "the definition": []byte("10-root.toml"),
	})
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if seen["the definition"] == 0 {
		t.Error("the search does not find what must be there")
	}
	for _, what := range []string{"the key", "its first half", "its second half"} {
		if seen[what] > 0 {
			t.Errorf("%s is %d times in memory", what, seen[what])
		}
	}
	plain.Check(t, plain.Path)
}

// searchMemory counts how often each text is in the memory of a process, but for files of
// disks that it has mapped.
func searchMemory(t *testing.T, pid int, texts map[string][]byte) map[string]int {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	seen := map[string]int{}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || rights[0] != 'r' || filepath.Ext(strings.TrimSpace(line)) == ".img" {
			continue
		}
		content := make([]byte, to-from)
		n, _ := memory.ReadAt(content, from) // the kernel's own pages cannot be read
		for what, text := range texts {
			seen[what] += bytes.Count(content[:n], text)
		}
	}
	return seen
}
