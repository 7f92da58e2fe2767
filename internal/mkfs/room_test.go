package mkfs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

var manyFiles = flag.Int("room-files", 300, "how many small files TestRoom puts into a file system; the long form takes 30000")

// TestRoom: what is said to be room enough for files is, and is not much more.
func TestRoom(t *testing.T) {
	for name, c := range map[string]struct {
		formats string
		fill    func(t *testing.T, dir string)
	}{
		"small files": {"ext4", func(t *testing.T, dir string) { files(t, dir, *manyFiles, 5000, "") }},
		"no content":  {"ext4", func(t *testing.T, dir string) { files(t, dir, 2*(*manyFiles), 0, "") }},
		"long names":  {"ext4 vfat", func(t *testing.T, dir string) { files(t, dir, 60, 10, strings.Repeat("long", 25)) }},
		"folders": {"ext4 vfat", func(t *testing.T, dir string) {
			for i := range 40 {
				files(t, filepath.Join(dir, fmt.Sprint("folder", i)), 1, 600, "")
			}
		}},
		"a large file": {"ext4 vfat", func(t *testing.T, dir string) { files(t, dir, 1, 12<<20, "") }},
	} {
		tree := t.TempDir()
		c.fill(t, tree)
		for format := range strings.FieldsSeq(c.formats) {
			f := Filesystem{Format: format, UUID: testUUID, CopyFiles: []Copy{{Source: tree, Target: "/"}}, TempDir: t.TempDir()}
			size, err := Room(f)
			if err != nil {
				t.Fatal(name, err)
			}
			size = max(size, disk.MiB)
			t.Logf("%s: %s for %s", name, size, format)
			image := must(t, size, f)
			if format == "ext4" {
				output(t, "e2fsck", "-fn", image)
			}
			if name != "a large file" {
				continue
			}
			if err := Make(t.Context(), sparse(t, (size*2/3).RoundDown(4096)), f); err == nil {
				t.Errorf("two thirds of %s are enough for a %s", size, format)
			}
		}
	}
	if size, err := Room(Filesystem{Format: "ext4"}); size != 0 || err != nil {
		t.Errorf("without files: %d, %v", size, err)
	}
	gone := Filesystem{Format: "ext4", CopyFiles: []Copy{{Source: "/nowhere/at/all", Target: "/"}}}
	if _, err := Room(gone); err == nil || !strings.Contains(err.Error(), "copy /nowhere/at/all to /: ") {
		t.Errorf("%v", err)
	}
}

// files makes files of a size.
func files(t *testing.T, dir string, n, size int, prefix string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte{'x'}, size)
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(prefix, i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
