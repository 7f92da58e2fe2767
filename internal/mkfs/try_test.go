package mkfs

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// resize2fs gives a last group up that would have little more than its own tables: with groups of
// 128 MiB, 162 MiB cannot become 130. Less is as good.
func TestShrinkRoundsLastGroup(t *testing.T) {
	path := sparse(t, 162*disk.MiB)
	output(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", path)
	w := Window{Path: path, Size: 162 * disk.MiB}
	if err := ShrinkExt(t.Context(), w, 130*disk.MiB); err != nil {
		t.Fatal(err)
	}
	output(t, "e2fsck", "-f", "-n", path)
	if s, err := w.superblock(); err != nil || s.size != 128*disk.MiB {
		t.Errorf("it has %s (%v), want 128 MiB", s.size, err)
	}
}

// What resize2fs makes a ruin of, or does not do, is known without a byte being written.
func TestTryShrinkWritesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		options []string
		size    disk.Bytes
		want    string
	}{
		"bigalloc": {[]string{"-t", "ext4", "-O", "bigalloc"}, 32 * disk.MiB, "e2fsck failed"},
		"too full": {[]string{"-t", "ext4", "-N", "16384"}, disk.MiB, "resize2fs failed"},
		"it fits":  {[]string{"-t", "ext4"}, 32 * disk.MiB, ""},
	} {
		path := sparse(t, 64*disk.MiB)
		output(t, "mke2fs", append(append([]string{"-q", "-F"}, test.options...), path)...)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		err = TryShrinkExt(t.Context(), Window{Path: path, Size: 64 * disk.MiB}, test.size)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file system changed (%v)", name, err)
		}
	}
}
