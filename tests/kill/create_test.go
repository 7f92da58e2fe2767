package kill

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/tests/rig"
)

// creation is a partition whose files come from two places, so that they are staged.
const creation = `[partition]
type = "home"
[filesystem]
format = "ext4"
copy_files = ["/one:/", "/two:/two"]
`

// TestKilledWhileCreating kills runs that make a new partition. None leaves a file
// behind, and the next run removes what a killed one staged.
func TestKilledWhileCreating(t *testing.T) {
	rng, dir := instants(t), t.TempDir()
	temp, image := filepath.Join(dir, "temp"), filepath.Join(dir, "disk.img")
	for path, text := range map[string]string{"defs/10-home.toml": creation, "root/one/a": "a", "root/two/b": "b", "temp/other": "not ours"} {
		write(t, filepath.Join(dir, path), text)
	}
	for i := range 500 {
		write(t, filepath.Join(dir, "root/one", fmt.Sprint(i)), strings.Repeat("x", 10000))
	}
	args := []string{"apply", "--definitions", filepath.Join(dir, "defs"), "--root", filepath.Join(dir, "root"), "--empty=allow", "--seed", rig.Seed, image}
	var staged, killed int
	for n := (*kills + 4) / 5; n > 0; n-- {
		write(t, image, "")
		if err := os.Truncate(image, 256<<20); err != nil {
			t.Fatal(err)
		}
		cmd := rig.Sealpart(t, args...)
		cmd.Env = append(cmd.Env, "TMPDIR="+temp)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(250 * time.Millisecond))))
		_ = cmd.Process.Kill() // it may have ended
		if judgeEnd(t, cmd.Wait(), &said) {
			killed++
		}
		staged += checkLeft(t, temp, true)
	}
	t.Logf("%d runs were killed, %d left a staging directory", killed, staged)
	if killed == 0 {
		t.Error("no run was killed; the test shows nothing")
	}
	write(t, image, "")
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	cmd := rig.Sealpart(t, args...)
	cmd.Env = append(cmd.Env, "TMPDIR="+temp)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkLeft(t, temp, false)
}

// checkLeft looks for what runs left in temp beside the file that is not ours, and
// reports whether there is a staging directory.
func checkLeft(t *testing.T, temp string, mayStage bool) (staged int) {
	t.Helper()
	entries, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case e.Name() == "other", e.IsDir() && strings.HasSuffix(e.Name(), ".new"): // killed before it was locked
		case e.IsDir() && mayStage:
			staged = 1
		default:
			t.Errorf("%s was left behind", e.Name())
		}
	}
	return staged
}

// write makes a file and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
