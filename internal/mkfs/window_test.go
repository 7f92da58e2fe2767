package mkfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

const edge = 3 * disk.MiB // what lies before and behind the window

// inImage makes an ext4 with a large file in a window of a disk image.
func inImage(t testing.TB, size disk.Bytes) (Window, []byte) {
	t.Helper()
	for _, tool := range []string{"e2fsck", "resize2fs"} {
		testenv.Need(t, tool)
	}
	src, content := t.TempDir(), pattern(1, 9<<20)
	write(t, filepath.Join(src, "large"), string(content), 0o644)
	for i := range 300 {
		write(t, filepath.Join(src, "d"+strconv.Itoa(i%7), strconv.Itoa(i)), strings.Repeat("x", i*17), 0o644)
	}
	fs, err := os.ReadFile(must(t, size, Filesystem{Format: "ext4", UUID: testUUID, CopyFiles: []Copy{{Source: src, Target: "/"}}}))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "disk image")
	image := bytes.Join([][]byte{pattern(2, int(edge)), fs, pattern(3, int(edge))}, nil)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return Window{Path: path, Offset: edge, Size: size}, content
}

// checkImage sees to it that the neighbours are untouched and the file is whole.
func checkImage(t *testing.T, w Window, content []byte) {
	t.Helper()
	image, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	if disk.Bytes(len(image)) != w.Size+2*edge {
		t.Fatalf("the image has %d bytes now, it had %d", len(image), w.Size+2*edge)
	}
	if !bytes.Equal(image[:edge], pattern(2, int(edge))) || !bytes.Equal(image[w.Size+edge:], pattern(3, int(edge))) {
		t.Fatal("bytes outside the window changed")
	}
	at := w.Path + "?offset=" + strconv.Itoa(int(w.Offset))
	output(t, "e2fsck", "-f", "-n", at)
	dump := filepath.Join(t.TempDir(), "dump")
	output(t, "debugfs", "-R", "dump /large "+dump, at)
	if got, err := os.ReadFile(dump); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the file is not what it was (%v)", err)
	}
}

func TestResizeInImage(t *testing.T) {
	w, content := inImage(t, 64*disk.MiB)
	if err := CheckExt(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	said := strings.Fields(output(t, "resize2fs", "-P", w.Path+"?offset="+strconv.Itoa(int(w.Offset))))
	blocks, err := strconv.Atoi(said[len(said)-1])
	minimum := disk.Bytes(blocks) * 4096
	if err != nil || minimum < 9*disk.MiB || minimum > 60*disk.MiB {
		t.Fatalf("minimum %s, %v", minimum, err)
	}
	for _, size := range []disk.Bytes{61*disk.MiB + 1234, minimum} {
		if err := ShrinkExt(t.Context(), w, size); err != nil {
			t.Fatal(err)
		}
		checkImage(t, w, content)
		if s, err := w.superblock(); err != nil || s.size != size.RoundDown(4096) {
			t.Errorf("shrunk to %d (%v), want %d", s.size, err, size)
		}
	}
}

func TestWindowRefuses(t *testing.T) {
	w, content := inImage(t, 32*disk.MiB)
	smaller := w
	smaller.Size -= disk.MiB
	beyond := w
	beyond.Size += 2 * edge
	for want, err := range map[string]error{
		"the file system says it has 33554432 bytes, more than the 32505856 of its place": CheckExt(t.Context(), smaller),
		"has 39845888 bytes, too few for 39845888 at 3145728":                             CheckExt(t.Context(), beyond),
		"at 0: no ext file system":                       CheckExt(t.Context(), Window{Path: w.Path, Size: edge}),
		"No space left on device while trying to resize": ShrinkExt(t.Context(), w, 6*disk.MiB),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	checkImage(t, w, content)
}

// What needs a human is refused: here an inode's block pointers are rubbish.
func TestCheckExtRefusesDamage(t *testing.T) {
	w, content := inImage(t, 32*disk.MiB)
	if err := TryCheckExt(t.Context(), w); err != nil {
		t.Error(err)
	}
	checkImage(t, w, content)
	at := w.Path + "?offset=" + strconv.Itoa(int(w.Offset))
	output(t, "debugfs", "-w", "-R", "clri <2>", at)
	damaged, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, err error) {
		if err == nil || !strings.Contains(err.Error(), "e2fsck failed") {
			t.Errorf("%s: a file system without a root directory passed: %v", name, err)
		}
	}
	refused("the try", TryCheckExt(t.Context(), w))
	if now, err := os.ReadFile(w.Path); err != nil || !bytes.Equal(now, damaged) {
		t.Errorf("the try changed the image (%v)", err)
	}
	refused("the check", CheckExt(t.Context(), w))
}

func FuzzSuperblock(f *testing.F) {
	raw := make([]byte, 1024)
	raw[56], raw[57], raw[4], raw[24] = 0x53, 0xEF, 1, 2
	f.Add(raw)
	raw = bytes.Clone(raw)
	raw[96], raw[339] = 0x80, 0xFF
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseSuperblock(append(raw, make([]byte, 1024)...)[:1024])
		if err == nil && (s.size < 0 || s.blockSize < 1024 || s.size%s.blockSize != 0) {
			t.Errorf("nonsense accepted: %+v", s)
		}
	})
}
