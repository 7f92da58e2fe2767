package executor

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
)

// checkBarriers demands a flush between what is written to two of the three parts of a
// volume, its header copies, its keyslots and records, and its data, whichever is first: each
// says or relies on what is in the others, so that a power cut may never keep the later of
// two writes alone.
func checkBarriers(t *testing.T, name string, log []simdev.Op, headers, data disk.Bytes) {
	t.Helper()
	const flushed = ""
	last, crossings := flushed, 0
	for i, op := range log {
		if op.Sync {
			last = flushed
			continue
		}
		part := partOf(disk.Bytes(op.Offset), headers, data)
		if last != flushed && part != last {
			t.Errorf("%s: operation %d writes the %s without a flush after the %s", name, i, part, last)
		}
		if part != last {
			crossings++
		}
		last = part
	}
	if crossings < 6 {
		t.Errorf("%s: only %d runs of writes", name, crossings)
	}
}

func partOf(offset, headers, data disk.Bytes) string {
	switch {
	case offset < headers:
		return "header"
	case offset < data:
		return "keyslots and records"
	}
	return "data"
}

// TestBarriers: of whole conversions, and of those that go on after a power cut.
func TestBarriers(t *testing.T) {
	plain := extImage(t, crashData)
	shift := simdev.New(append(plain, make([]byte, crashDisk-crashData)...))
	mustConvert(t, shift)
	checkBarriers(t, "shift", shift.Log(), crashShift, crashShift) // TestInitWindow says what is in front
	for _, m := range modes {
		if m.detached {
			continue // the header is on another device
		}
		w := m.newWorld(t)
		if err := w.run(t); err != nil {
			t.Fatal(err)
		}
		checkBarriers(t, m.name, w.part.Log(), headersOf(t, w.part), placeHeader)
		rng := rand.New(rand.NewPCG(1, 5))
		for _, k := range []int{len(w.part.Log()) / 3, len(w.part.Log()) / 2} {
			cut := w.crashAfter(k, rng)
			if err := cut.run(t); err != nil {
				t.Fatal(err)
			}
			checkBarriers(t, m.name+", gone on with", cut.part.Log(), headersOf(t, cut.part), placeHeader)
		}
	}
}

// headersOf returns where both copies of the header of the volume on dev end.
func headersOf(t *testing.T, dev *simdev.Device) disk.Bytes {
	t.Helper()
	header, err := luks2.Read(dev, int64(dev.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return 2 * disk.Bytes(header.HeaderSize)
}

// TestMovedCopyIsDurable: before anything is written over what was copied, the copy is
// flushed, and only then read back.
func TestMovedCopyIsDurable(t *testing.T) {
	dev := simdev.New(full(crashDisk))
	c, _ := shiftOf(t, dev)
	if err := c.moveFirst(context.Background()); err != nil {
		t.Fatal(err)
	}
	if log := dev.Log(); len(log) < 2 || !log[len(log)-1].Sync {
		t.Errorf("the copy is not flushed after %d operations", len(log))
	}
}
