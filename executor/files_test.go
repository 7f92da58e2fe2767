package executor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestFilesAreCheckedFirst: what a new file system cannot hold is refused before anything
// is written, to other partitions of the plan either.
func TestFilesAreCheckedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"one name in FAT": {[]string{"README", "readme"}, `"/README" and "/readme" are one name`},
		"no such source":  {nil, "copy /files to /: "},
	} {
		env := testEnv(t)
		env.Root = t.TempDir()
		for _, file := range c.files {
			if err := os.MkdirAll(filepath.Join(env.Root, "files"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(env.Root, "files", file), []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dev := simdev.New(partitioned(t, make([]byte, 16*disk.MiB), "label: gpt\n"))
		snapshot, err := probe.Disk(dev, 512)
		if err != nil {
			t.Fatal(err)
		}
		defs := loadTOML(t, map[string]string{
			"10-bare": `partition = { type = "linux-generic", size_min = "1M", size_max = "1M" }`,
			"20-data": `partition = { type = "home", size_min = "4M" }
filesystem = { format = "vfat", copy_files = ["/files:/"] }`,
		})
		plan, err := planner.Make(defs, snapshot, host.Facts{}, planner.Options{Seed: uuid.New(), Empty: planner.EmptyRefuse})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(t.Context(), simTarget{dev, false}, plan, env); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", name, n)
		}
	}
}

// TestSplitTakesBack: where one file cannot be written, those before it go again, or the next
// run would find them in its way.
func TestSplitTakesBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	if err := os.WriteFile(path, make([]byte, 2*disk.MiB), 0o644); err != nil {
		t.Fatal(err)
	}
	image, err := blockdev.Open(path, blockdev.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	row := func(n int, to string) plan.Row {
		entry := disk.Entry{Number: n, Extent: disk.Extent{Offset: disk.MiB, Size: disk.MiB}}
		return plan.Row{Entry: entry, Old: &entry, SplitPath: to}
	}
	one := filepath.Join(dir, "one")
	plan := &plan.Plan{Rows: []plan.Row{row(1, one), row(2, filepath.Join(dir, "missing", "two"))}}
	if err := Split(t.Context(), image, plan); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "split off partition 2: ") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(one); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first file is left: %v", err)
	}
}
