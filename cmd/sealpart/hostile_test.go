package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// hostile is a disk that somebody broke, or made to break us. What inspect, plan and
// apply say about it stands in testdata/hostile, whole lines.
type hostile struct {
	name   string
	change func(v victim)
	want   verdict
	size   int64 // what the image is cut or grown to, 0 for as it is
}

// verdict is what apply has to do about a disk.
type verdict int

// A refused disk is not changed by one byte. A disk that is used comes out as judge
// wants it.
const (
	refused verdict = iota
	used
)

// What a disk may cost that is refused. Each keyslot that apply makes or opens costs
// 32 MiB by itself.
const (
	maxTime   = 2 * time.Second
	maxLook   = 64 << 20
	maxUnlock = 512 << 20
)

// victim is the image that a case changes, mapped into memory.
type victim struct{ image []byte }

// said is what one run of the command wrote and returned.
type said struct {
	code     int
	out, err string
}

// runMain runs the command as main does, within the limits.
func runMain(t *testing.T, args ...string) said {
	t.Helper()
	var out, diagnostics bytes.Buffer
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	code := Main(context.Background(), args, &out, &diagnostics)
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	limit := uint64(maxLook)
	if args[0] == "apply" || args[0] == "export" {
		limit = maxUnlock
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > limit {
		t.Errorf("%v took %d bytes of memory", args, n)
	}
	if code != 0 && elapsed > maxTime {
		t.Errorf("%v took %v", args, elapsed)
	}
	if at := strings.IndexFunc(out.String()+diagnostics.String(), steers); at >= 0 {
		t.Errorf("%v wrote what a terminal obeys: %q", args, (out.String() + diagnostics.String())[at:])
	}
	return said{code, out.String(), diagnostics.String()}
}

// steers reports whether a terminal does more with r than showing it.
func steers(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }

// remarks are the lines that tell of trouble: all of an error, and of what is shown
// the notes and problems.
func (s said) remarks() string {
	lines := strings.SplitAfter(s.err, "\n")
	for line := range strings.Lines(s.out) {
		if strings.HasPrefix(line, "note: ") || strings.HasPrefix(strings.TrimSpace(line), "problem: ") {
			lines = append(lines, strings.TrimLeft(line, " "))
		}
	}
	return strings.Join(lines, "")
}

// A suite is hostile disks of one kind.
type suite struct {
	golden string                            // file in testdata/hostile
	base   []byte                            // the image that each case starts from
	root   string                            // settings of root beside its type
	judge  func(t *testing.T, before []byte) // of disk.img; before is root's first 16 MiB
	cases  []hostile
}

// run runs all cases.
func (u suite) run(t *testing.T) {
	golden := u.readGolden(t)
	base := chunksOf(u.base)
	for _, c := range u.cases {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(workplace(t, u.root))
			writeChunks(t, "disk.img", len(u.base), base)
			before := sum(t, "disk.img")
			c.breakDisk(t)
			if sum(t, "disk.img") == before && c.want == refused {
				t.Fatal("the case changes nothing")
			}
			got := c.run(t, u.judge)
			if *update {
				golden[c.name] = got
			} else if diff := cmp.Diff(golden[c.name], got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if *update {
		u.writeGolden(t, golden)
	}
}

// breakDisk changes disk.img as the case wants it.
func (c hostile) breakDisk(t *testing.T) {
	t.Helper()
	file, err := os.OpenFile("disk.img", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	image, err := unix.Mmap(int(file.Fd()), 0, diskSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	c.change(victim{image})
	if err := unix.Munmap(image); err != nil {
		t.Fatal(err)
	}
	if c.size == 0 {
		return
	}
	if err := file.Truncate(c.size); err != nil {
		t.Fatal(err)
	}
}

// run runs inspect, plan and apply on disk.img and returns their remarks.
func (c hostile) run(t *testing.T, judge func(t *testing.T, before []byte)) string {
	var text strings.Builder
	root := rootOf(t)
	for _, command := range []string{"inspect", "plan", "apply"} {
		before := sum(t, "disk.img")
		s := runMain(t, commandLine(command)...)
		fmt.Fprintf(&text, "%s: %d\n%s", command, s.code, s.remarks())
		changed := sum(t, "disk.img") != before
		if changed && (command != "apply" || c.want == refused) {
			t.Errorf("%s changed the disk", command)
		}
		if command != "apply" {
			continue
		}
		if (s.code == 0) != (c.want == used) || changed != (c.want != refused) {
			t.Errorf("apply ended with %d, changed: %v\n%s", s.code, changed, s.err)
		}
	}
	if c.want == used && !t.Failed() {
		judge(t, root)
	}
	return text.String()
}

// rootOf returns the first 16 MiB of root, where all headers are.
func rootOf(t *testing.T) []byte {
	t.Helper()
	file, err := os.Open("disk.img")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	root := make([]byte, 16<<20)
	n, err := file.ReadAt(root, rootStart)
	if err != nil && !errors.Is(err, io.EOF) { // the image may have been cut
		t.Fatal(err)
	}
	return root[:n]
}

// commandLine completes the arguments of a command.
func commandLine(command string) []string {
	const seed = "--seed=750b6cd5-c4ae-4012-a15e-7be3c29e6a47"
	switch command {
	case "inspect":
		return []string{"inspect", "disk.img"}
	case "plan":
		return []string{"plan", "--definitions=defs", seed, "disk.img"}
	default:
		return []string{"apply", "--definitions=defs", seed, "--key-file=key", "--progress=none", "disk.img"}
	}
}

// workplace makes a directory with a key file, and definitions of root and of a
// partition to be made beside it.
func workplace(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key":               "a key file",
		"defs/10-root.toml": "[partition]\ntype = \"root\"\nweight = 0\n" + root,
		"defs/20-data.toml": "[partition]\ntype = \"srv\"\nlabel = \"data\"\nsize_min = \"8M\"\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// chunk is a part of an image that is not all zeroes.
type chunk struct {
	at    int
	bytes []byte
}

// chunksOf returns what an image holds.
func chunksOf(image []byte) []chunk {
	var chunks []chunk
	zero := make([]byte, 64<<10)
	at := 0
	for part := range slices.Chunk(image, len(zero)) {
		if !bytes.Equal(part, zero[:len(part)]) {
			chunks = append(chunks, chunk{at, part})
		}
		at += len(part)
	}
	return chunks
}

// writeChunks writes an image, with holes where its zeroes are.
func writeChunks(t *testing.T, path string, size int, chunks []chunk) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if _, err := file.WriteAt(c.bytes, int64(c.at)); err != nil {
			t.Fatal(err)
		}
	}
}

var hashSeed = maphash.MakeSeed()

// sum is the checksum of a file: its bytes, and where it has holes.
func sum(t *testing.T, path string) uint64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var hash maphash.Hash
	hash.SetSeed(hashSeed)
	for at := int64(0); ; {
		data, err := file.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return hash.Sum64() // nothing but a hole up to the end
		}
		hole, holeErr := file.Seek(data, unix.SEEK_HOLE)
		if err := errors.Join(err, holeErr); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&hash, data, hole)
		if _, err := io.Copy(&hash, io.NewSectionReader(file, data, hole-data)); err != nil {
			t.Fatal(err)
		}
		at = hole
	}
}
