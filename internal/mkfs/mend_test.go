package mkfs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
)

// withJournal leaves in an ext file system's journal a block that was not replayed: the
// new content of the first block of the file /large.
func withJournal(t *testing.T, path, large string) {
	t.Helper()
	dir := t.TempDir()
	block := strings.TrimSpace(output(t, "debugfs", "-R", "bmap "+large+" 0", path))
	if i := strings.LastIndex(block, "\n"); i >= 0 {
		block = block[i+1:]
	}
	write(t, filepath.Join(dir, "block"), string(replayed), 0o644)
	write(t, filepath.Join(dir, "script"), "jo\njw -b "+block+" "+filepath.Join(dir, "block")+"\njc\n", 0o644)
	output(t, "debugfs", "-w", "-f", filepath.Join(dir, "script"), path)
	if said := output(t, "dumpe2fs", "-h", path); !strings.Contains(said, "needs_recovery") {
		t.Fatalf("the journal is not to be replayed:\n%s", said)
	}
}

// replayed is what the journal has for the file's first block.
var replayed = pattern(77, 4096)

// A journal that is still to be replayed is replayed, in its own file system: the disk
// begins with the superblock of another, into which e2fsck would write if it had the disk.
func TestCheckReplaysJournal(t *testing.T) {
	w, content := inImage(t, 64*disk.MiB)
	for _, tool := range []string{"debugfs", "dumpe2fs"} {
		testenv.Need(t, tool)
	}
	fs := extract(t, w)
	withJournal(t, fs, "/large")
	stale := sparse(t, edge)
	output(t, "mke2fs", "-q", "-F", "-t", "ext4", stale)
	before, err := os.ReadFile(stale)
	if err != nil {
		t.Fatal(err)
	}
	plant(t, w, fs, before)
	if err := TryCheckExt(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := CheckExt(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := ShrinkExt(t.Context(), w, 40*disk.MiB); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(image[:edge], before) {
		t.Error("what lies before the file system changed")
	}
	copy(image, pattern(2, int(edge)))
	if err := os.WriteFile(w.Path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	checkImage(t, w, append(bytes.Clone(replayed), content[4096:]...))
}

// extract copies the file system out of its image.
func extract(t *testing.T, w Window) string {
	t.Helper()
	image, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(path, image[w.Offset:w.Offset+w.Size], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// plant puts a file system back into its image, and other bytes at the beginning.
func plant(t *testing.T, w Window, fs string, first []byte) {
	t.Helper()
	image, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(fs)
	if err != nil {
		t.Fatal(err)
	}
	copy(image, first)
	copy(image[w.Offset:], content)
	if err := os.WriteFile(w.Path, image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCutInMend cuts the power after every operation by which a mended file system
// with its replayed journal comes to the disk. The next check makes the same of it.
func TestPowerCutInMend(t *testing.T) {
	w, content := inImage(t, 32*disk.MiB)
	for _, tool := range []string{"debugfs", "dumpe2fs"} {
		testenv.Need(t, tool)
	}
	fs := extract(t, w)
	withJournal(t, fs, "/large")
	image, err := os.ReadFile(fs)
	if err != nil {
		t.Fatal(err)
	}
	d := simdev.New(image)
	whole := Window{Path: fs, Size: w.Size}
	err = whole.check(t.Context(), os.O_RDONLY, func(o *overlay, _ device, s superblock) error { return o.mend(d, s) })
	if err != nil {
		t.Fatal(err)
	}
	log := d.Log()
	if len(log) < 5 {
		t.Fatalf("only %d operations", len(log))
	}
	rng := rand.New(rand.NewPCG(*shrinkSeed, 1))
	for k := 0; k <= len(log); k += max(1, len(log)/8) {
		if err := os.WriteFile(fs, d.CrashAfter(k, rng).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckExt(t.Context(), whole); err != nil {
			t.Errorf("after operation %d of %d: %v", k, len(log), err)
			continue
		}
		output(t, "e2fsck", "-f", "-n", fs)
		dump := filepath.Join(t.TempDir(), "dump")
		output(t, "debugfs", "-R", "dump /large "+dump, fs)
		got, err := os.ReadFile(dump)
		if want := append(bytes.Clone(replayed), content[4096:]...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("after operation %d of %d: the file is not what the journal makes it (%v)", k, len(log), err)
		}
	}
}

// A file system of blocks of 1 KiB, as mkfs makes small ones, gives up what is free of it,
// also where resize2fs underestimates that.
func TestShrinkSmallBlocks(t *testing.T) {
	for _, tool := range []string{"mke2fs", "resize2fs"} {
		testenv.Need(t, tool)
	}
	path := sparse(t, 64*disk.MiB)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), string(pattern(1, 40<<20)), 0o644)
	output(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", dir, path)
	if err := os.Truncate(path, 104<<20); err != nil {
		t.Fatal(err)
	}
	output(t, "resize2fs", path)
	w := Window{Path: path, Size: 104 * disk.MiB}
	if err := ShrinkExt(t.Context(), w, 72*disk.MiB); err != nil {
		t.Fatal(err)
	}
	output(t, "e2fsck", "-f", "-n", path)
	if s, err := w.superblock(); err != nil || s.size != 72*disk.MiB {
		t.Errorf("it has %s (%v)", s.size, err)
	}
	if said := output(t, "debugfs", "-R", "ls -l /", path); !strings.Contains(said, "large") {
		t.Errorf("the file is gone:\n%s", said)
	}
}
