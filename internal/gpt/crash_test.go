package gpt_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// small is a script for a disk of 128 KiB: five entries in the first two sectors of
// the array.
const small = `label: gpt
label-id: 11111111-2222-3333-4444-555555555555
1 : start=40, size=8, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, uuid=aaaaaaaa-0000-0000-0000-000000000001, name="esp"
2 : start=48, size=8, type=0fc63daf-8483-4772-8e79-3d69d8477de4, uuid=aaaaaaaa-0000-0000-0000-000000000002, name="a"
3 : start=64, size=8, type=0fc63daf-8483-4772-8e79-3d69d8477de4, uuid=aaaaaaaa-0000-0000-0000-000000000003, name="b"
4 : start=80, size=8, type=0fc63daf-8483-4772-8e79-3d69d8477de4, uuid=aaaaaaaa-0000-0000-0000-000000000004, name="c"
5 : start=96, size=8, type=0fc63daf-8483-4772-8e79-3d69d8477de4, uuid=aaaaaaaa-0000-0000-0000-000000000005, name="d"
`

const smallSize = 128 * disk.KiB

// crashScene is a disk before a table is written to it.
type crashScene struct {
	name  string
	image func(t *testing.T, f forgery) []byte
	fresh bool // label it anew
}

// crashScenes are the kinds of disk that Writes tells apart, and some more.
var crashScenes = []crashScene{
	{name: "whole", image: func(_ *testing.T, f forgery) []byte { return f.image }},
	{name: "primary header lost", image: func(_ *testing.T, f forgery) []byte {
		clear(f.at(1))
		return f.image
	}},
	{name: "primary array torn", image: func(_ *testing.T, f forgery) []byte {
		clear(f.entry(1, 2))
		return f.image
	}},
	{name: "backup header lost", image: func(_ *testing.T, f forgery) []byte {
		clear(f.at(f.last()))
		return f.image
	}},
	{name: "backup array torn", image: func(_ *testing.T, f forgery) []byte {
		clear(f.entry(f.last(), 2))
		return f.image
	}},
	{name: "copies differ", image: func(_ *testing.T, f forgery) []byte {
		f.entry(f.last(), 1)[56] = 'X'
		f.seal(f.last())
		return f.image
	}},
	{name: "grown", image: func(_ *testing.T, f forgery) []byte {
		return append(f.image, make([]byte, 64*disk.KiB)...)
	}},
	{name: "grown, primary header lost", image: func(_ *testing.T, f forgery) []byte {
		clear(f.at(1))
		return append(f.image, make([]byte, 64*disk.KiB)...)
	}},
	{name: "grown, primary array torn, no size in the MBR", image: func(_ *testing.T, f forgery) []byte {
		clear(f.entry(1, 2))
		copy(f.image[446+12:], "\xff\xff\xff\xff")
		return append(f.image, make([]byte, 64*disk.KiB)...)
	}},
	{name: "primary header of a third table", image: func(t *testing.T, f forgery) []byte {
		awaitThird(t, f)
		return f.image
	}},
	{name: "grown, primary header of a third table", image: func(t *testing.T, f forgery) []byte {
		awaitThird(t, f)
		return append(f.image, make([]byte, 64*disk.KiB)...)
	}},
	{name: "six entries", image: func(_ *testing.T, f forgery) []byte {
		f.relabel(6)
		return f.image
	}},
	{name: "no protective MBR", image: func(_ *testing.T, f forgery) []byte {
		clear(f.at(0))
		return f.image
	}},
	{name: "blank", fresh: true, image: func(_ *testing.T, f forgery) []byte {
		return make([]byte, len(f.image))
	}},
	{name: "new over MBR", fresh: true, image: func(t *testing.T, f forgery) []byte {
		return labelled(t, smallSize, "label: dos\nstart=8, size=8, type=83\n")
	}},
	{name: "new over GPT", fresh: true, image: func(_ *testing.T, f forgery) []byte { return f.image }},
}

// awaitThird makes the primary header one that fits neither the old array nor the new
// one, but the first sector of the new one before the old second one: a torn write must
// not bring that table about.
func awaitThird(t *testing.T, f forgery) {
	t.Helper()
	s := read(t, f.image)
	dev := simdev.New(f.image)
	apply(t, dev, s, wanted(t, s))
	old := bytes.Clone(f.at(2))
	copy(f.at(2), dev.Bytes()[2*512:])
	f.seal(1)
	copy(f.at(2), old)
}

// outcome is what a reader makes of a disk, as far as old and new tables differ.
func outcome(image []byte) string {
	s, err := gpt.Read(bytes.NewReader(image), disk.Bytes(len(image)), 512)
	for _, class := range []error{gpt.ErrNone, gpt.ErrMBR, gpt.ErrDamaged} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(s.Table.GUID, s.Entries)
}

// wanted is the table that is written to every scene: one partition gone, one
// renamed, one grown, one new, in both sectors of the array that are in use.
func wanted(t *testing.T, s *gpt.State) []disk.Entry {
	t.Helper()
	var entries []disk.Entry
	for _, e := range s.Entries {
		switch e.Number {
		case 2:
			continue
		case 3:
			e.Name = "renamed"
		case 4:
			e.Size *= 2
		}
		entries = append(entries, e)
	}
	return append(entries, entryOf(6, 112, 8, "new"))
}

// start returns the table to write to image.
func (c crashScene) start(t *testing.T, image []byte) *gpt.State {
	t.Helper()
	if c.fresh {
		s, err := gpt.New(disk.Bytes(len(image)), 512, uuid.UUID{0xcc, 1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, err := gpt.Read(bytes.NewReader(image), disk.Bytes(len(image)), 512)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPowerCut cuts the power after every write and sync, with any sectors of what
// was not synced lost, and wants the old table or the new one, in whole. From each
// of these states the same road leads to the new table: once more with a power cut,
// and then to the end, where two copies are good and nothing is left to do.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	base := labelled(t, smallSize, small)
	for _, scene := range crashScenes {
		t.Run(scene.name, func(t *testing.T) {
			image := scene.image(t, forge(base))
			s := scene.start(t, image)
			entries := wanted(t, s)
			dev := simdev.New(image)
			apply(t, dev, s, entries)
			before, after := outcome(image), outcome(dev.Bytes())
			if before == after {
				t.Fatal("the scene changes nothing")
			}
			seen := map[string]int{}
			for k := range len(dev.Log()) + 1 {
				for seed := range uint64(12) {
					rng := rand.New(rand.NewPCG(seed, uint64(k)))
					cut := dev.CrashAfter(k, rng).Bytes()
					got := outcome(cut)
					seen[got]++
					if got != before && got != after {
						t.Fatalf("after operation %d, seed %d: %s\nneither %s\nnor %s", k, seed, got, before, after)
					}
					if got != before || !scene.fresh {
						scene.again(t, cut, entries, after, rng)
					}
				}
			}
			if seen[before] == 0 || seen[after] == 0 {
				t.Errorf("not both states seen: %v", seen)
			}
			if got := outcome(dev.Bytes()); got != after {
				t.Errorf("at the end: %s", got)
			}
		})
	}
}

// TestTornWrite tears each write at each of its sectors, both ways: the beginning is
// there, or the end. A reader finds the old table or the new one, in whole, and never a
// third: not even where a damaged primary header, whole by itself, waits for such an array.
func TestTornWrite(t *testing.T) {
	base := labelled(t, smallSize, small)
	for _, scene := range crashScenes {
		image := scene.image(t, forge(base))
		s := scene.start(t, image)
		dev := simdev.New(image)
		apply(t, dev, s, wanted(t, s))
		before, after, torn := outcome(image), outcome(dev.Bytes()), 0
		state := bytes.Clone(image)
		for i, op := range dev.Log() {
			for at := 512; at < len(op.Data); at += 512 {
				for _, half := range [][2]int{{0, at}, {at, len(op.Data)}} {
					cut := bytes.Clone(state)
					copy(cut[int(op.Offset)+half[0]:], op.Data[half[0]:half[1]])
					torn++
					if got := outcome(cut); got != before && got != after {
						t.Fatalf("%s: operation %d, bytes %d to %d: %s\nneither %s\nnor %s", scene.name, i, half[0], half[1], got, before, after)
					}
				}
			}
			copy(state[op.Offset:], op.Data)
		}
		if torn == 0 {
			t.Errorf("%s: nothing was torn", scene.name)
		}
	}
}

// again writes the table to a disk that a power cut left, with one more power cut
// on the way.
func (c crashScene) again(t *testing.T, cut []byte, entries []disk.Entry, after string, rng *rand.Rand) {
	t.Helper()
	before := outcome(cut)
	s := crashScene{}.start(t, cut)
	dev := simdev.New(cut)
	apply(t, dev, s, entries)
	k := rng.IntN(len(dev.Log()) + 1)
	if got := outcome(dev.CrashAfter(k, rng).Bytes()); got != before && got != after {
		t.Fatalf("second cut, after operation %d: %s\nneither %s\nnor %s", k, got, before, after)
	}
	end := read(t, dev.Bytes())
	writes, err := end.Writes(end.Table, end.Entries, disk.Bytes(len(cut)))
	if len(end.Warnings) != 0 || len(writes) != 0 || err != nil || !reflect.DeepEqual(end.Entries, entries) {
		t.Fatalf("at the end: warnings %q, %d writes left, %v, entries %+v", end.Warnings, len(writes), err, end.Entries)
	}
}

// apply writes entries to dev.
func apply(t *testing.T, dev *simdev.Device, s *gpt.State, entries []disk.Entry) {
	t.Helper()
	writes, err := s.Writes(s.Table, entries, dev.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
}
