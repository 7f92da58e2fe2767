package mkfs

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
)

// What a program writes is read back, alone and among what lies below, and nothing
// goes below.
func TestOverlay(t *testing.T) {
	testenv.Need(t, "debugfs")
	path := churned(t, kinds["ext4"].before, kinds["ext4"].options...)
	d, o, _ := prepared(t, path, kinds["ext4"].after)
	if len(d.Log()) > 0 {
		t.Error("the disk was written to")
	}
	below := make([]byte, o.size)
	if _, err := o.below.ReadAt(below, 0); err != nil {
		t.Fatal(err)
	}
	whole, pieces := make([]byte, o.size), []byte(nil)
	if _, err := o.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < o.size; off += 5000 { // across all borders of units
		p := make([]byte, min(5000, o.size-off))
		if _, err := o.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, p...)
	}
	if !bytes.Equal(whole, pieces) {
		t.Error("read in pieces it is another")
	}
	for u := range o.size / unit {
		if !o.kept[u] && !bytes.Equal(whole[u*unit:][:unit], below[u*unit:][:unit]) {
			t.Errorf("unit %d differs and nobody wrote it", u)
		}
	}
}

// A program that writes by calls that are not watched does not get its result
// committed.
func TestOverlayFindsStrays(t *testing.T) {
	image := pattern(1, 64<<10)
	source := t.TempDir() + "/source"
	write(t, source, strings.Repeat("x", unit), 0o644)
	dd := func(o *overlay, args ...string) error {
		args = append(args, "if="+source, "of="+given(0), "conv=notrunc", "status=none")
		return run(t.Context(), command{name: "dd", args: args, files: []*os.File{o.file}, overlay: o})
	}
	lay := func() *overlay {
		o, err := newOverlay(simdev.New(image), int64(len(image)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.close() })
		return o
	}
	o := lay()
	if err := dd(o, "bs="+strconv.Itoa(unit)); err != nil {
		t.Fatal(err)
	}
	if blocks, err := o.written(unit, o.size); err != nil || len(blocks) != 1 {
		t.Errorf("blocks %v, %v: the superblock's unit may be written by any call", blocks, err)
	}
	o = lay()
	if err := o.file.Truncate(2 * unit); err != nil {
		t.Fatal(err)
	}
	if err := dd(o, "oflag=append", "bs="+strconv.Itoa(unit)); err != nil {
		t.Fatal(err)
	}
	if _, err := o.written(unit, o.size); err == nil || !strings.Contains(err.Error(), "system call that is not known") {
		t.Errorf("the stray write was not found: %v", err)
	}
}
