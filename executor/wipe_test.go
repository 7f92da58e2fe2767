package executor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// unwiped is a finished volume whose header has a note of what is still to be wiped.
func unwiped(t *testing.T, note disk.Extent) (*conversion, *simdev.Device) {
	t.Helper()
	dev := simdev.New(full(3 * disk.MiB))
	v, err := newVolumeWith(testEnv(t), stubEncryption(placeHeader, 512), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.wipe)
	if err := noteWipe(v.header, v.key, note, clearNothing); err != nil {
		t.Fatal(err)
	}
	if err := v.header.Commit(v.front); err != nil {
		t.Fatal(err)
	}
	image := dev.Bytes()
	copy(image, v.front.bytes)
	dev = simdev.New(image)
	c := newConversion(testEnv(t), newPipeline(1), dev, plan.Reencrypt{Number: 1, Extent: disk.Extent{Size: dev.Size()}, Shift: placeHeader})
	c.keys = v.keys()
	if c.header, err = luks2.Read(dev, int64(dev.Size())); err != nil {
		t.Fatal(err)
	}
	return c, dev
}

// anywhere is what a note may name where nobody goes by it.
var anywhere = disk.Extent{Offset: disk.MiB, Size: 512}

// TestHostileNote: whatever a note in a header says, genuine as it may be, neither the header nor a keyslot nor
// the data is wiped for it, and nothing beyond the device.
func TestHostileNote(t *testing.T) {
	c, _ := unwiped(t, anywhere)
	slot := c.header.Keyslots()[0]
	area := disk.Extent{Offset: disk.Bytes(slot.AreaOffset), Size: disk.Bytes(slot.AreaSize)}
	size := disk.Bytes(c.header.HeaderSize)
	inUse := func(e disk.Extent) string { return fmt.Sprintf("%d bytes at %d are in use", e.Size, e.Offset) }
	for name, test := range map[string]struct {
		note disk.Extent
		want string
	}{
		"first header":              {disk.Extent{Size: 4096}, inUse(disk.Extent{Size: 2 * size})},
		"second header":             {disk.Extent{Offset: 2*size - 512, Size: 512}, inUse(disk.Extent{Size: 2 * size})},
		"keyslot":                   {area, inUse(area)},
		"first sector of a keyslot": {disk.Extent{Offset: area.Offset, Size: 512}, inUse(area)},
		"last sector of a keyslot":  {disk.Extent{Offset: area.End() - 512, Size: 512}, inUse(area)},
		"data":                      {disk.Extent{Offset: placeHeader, Size: 512}, inUse(disk.Extent{Offset: placeHeader, Size: disk.MiB})},
		"last of the data":          {disk.Extent{Offset: 3*disk.MiB - 512, Size: 512}, inUse(disk.Extent{Offset: placeHeader, Size: disk.MiB})},
		"beyond the device":         {disk.Extent{Offset: 3*disk.MiB - 512, Size: 1024}, "which are not on the device"},
		"before the device":         {disk.Extent{Offset: -512, Size: 512}, "which are not on the device"},
		"backwards":                 {disk.Extent{Offset: 4096, Size: -512}, "which are not on the device"},
		"further than can be added": {disk.Extent{Offset: 1<<63 - 512, Size: 1<<63 - 512}, "which are not on the device"},
	} {
		c, dev := unwiped(t, test.note)
		err := c.wipeLeftover(c.keys.new)
		if err == nil || !strings.Contains(err.Error(), "wants to wipe") || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: %v, not %q", name, err, test.want)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", name, n)
		}
	}
}

// TestWipeIsDurableBeforeTheNoteGoes: a power cut between them would leave plain bytes
// that nobody knows of.
func TestWipeIsDurableBeforeTheNoteGoes(t *testing.T) {
	empty, _ := unwiped(t, anywhere)
	free := disk.Extent{Offset: disk.Bytes(usedFront(empty.header)), Size: 4096}
	c, dev := unwiped(t, free)
	if err := c.wipeLeftover(c.keys.new); err != nil {
		t.Fatal(err)
	}
	log := dev.Log()
	if log[0].Offset != int64(free.Offset) || !bytes.Equal(log[0].Data, make([]byte, free.Size)) || !log[1].Sync {
		t.Errorf("the run begins with %d bytes at %d and %d at %d", len(log[0].Data), log[0].Offset, len(log[1].Data), log[1].Offset)
	}
	header, err := luks2.Read(dev, int64(dev.Size()))
	if err != nil || len(header.Tokens()) > 0 {
		t.Errorf("afterwards: %+v, %v", header.Tokens(), err)
	}
}

// TestNoteOfNonsense is refused, and nothing is wiped.
func TestNoteOfNonsense(t *testing.T) {
	c, dev := unwiped(t, anywhere)
	token, _ := findWipeToken(c.header, c.keys.new)
	token.Raw = []byte(`{"type":"sealpart","keyslots":[],"wipe-offset":"twelve","wipe-size":"512"}`)
	if _, err := c.readWipeNote(token); err == nil || !strings.Contains(err.Error(), "token 0: json: ") {
		t.Errorf("got %v", err)
	}
	if n := len(dev.Log()); n > 0 {
		t.Errorf("%d operations on the disk", n)
	}
}
