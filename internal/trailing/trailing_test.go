package trailing_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/internal/trailing"
)

// A disk of 32 MiB with a partition of 24 MiB at 4 MiB, whose file system takes 8 MiB and
// whose data moves by 1 MiB.
const (
	start = 4 * disk.MiB
	size  = 24 * disk.MiB
	taken = 8 * disk.MiB
	shift = disk.MiB
)

func place(kind string, grown disk.Bytes) trailing.Place {
	p := disk.Partition{Entry: disk.Entry{Number: 1, Extent: disk.Extent{Offset: start, Size: size}}}
	p.Content = disk.Content{Kind: kind, Size: taken, UUID: "3f1c"}
	return trailing.Place{Partition: p, Grown: grown, Shift: shift}
}

// imageWith returns a disk that is zero but for some bytes, by their places on the partition.
func imageWith(t *testing.T, written map[disk.Bytes][]byte) *simdev.Device {
	t.Helper()
	image := bytes.Repeat([]byte{0xA5}, int(32*disk.MiB))
	clear(image[start+taken : start+size])
	for at, p := range written {
		copy(image[start+at:], p)
	}
	return simdev.New(image)
}

func survey(t *testing.T, dev *simdev.Device, p trailing.Place) disk.Trailing {
	t.Helper()
	found, err := trailing.Survey(t.Context(), dev, p)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSurvey(t *testing.T) {
	ext := formatted(t)
	for name, test := range map[string]struct {
		written map[disk.Bytes][]byte
		want    disk.Trailing
	}{
		"nothing":          {nil, disk.Trailing{}},
		"the next byte":    {map[disk.Bytes][]byte{taken: {1}}, disk.Trailing{Offset: start + taken}},
		"the last byte":    {map[disk.Bytes][]byte{size - 1: {1}}, disk.Trailing{Offset: start + size - 4096}},
		"a file system":    {map[disk.Bytes][]byte{12 * disk.MiB: ext}, disk.Trailing{Offset: start + 12*disk.MiB, Kind: "ext4"}},
		"the first counts": {map[disk.Bytes][]byte{9 * disk.MiB: {1}, 12 * disk.MiB: ext}, disk.Trailing{Offset: start + 9*disk.MiB}},
	} {
		if d := cmp.Diff(test.want, survey(t, imageWith(t, test.written), place("squashfs", size))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// formatted returns a small ext4.
func formatted(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ext4")
	if out, err := exec.Command(testenv.Need(t, "mkfs.ext4"), "-q", path, "2M").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestMark: what a conversion puts behind the file system after its mark is its own, and
// nothing else is.
func TestMark(t *testing.T) {
	scratch, foreign := size-shift+4096, size-2*shift-1
	for name, test := range map[string]struct {
		at    disk.Bytes
		grown disk.Bytes
		other func(*trailing.Place)
		found bool
	}{
		"its own":                    {at: scratch, grown: size},
		"another's":                  {at: foreign, grown: size, found: true},
		"right behind":               {at: taken, grown: size, found: true},
		"another shift":              {at: scratch, grown: size, found: true, other: func(p *trailing.Place) { p.Shift *= 2 }},
		"another partition's":        {at: scratch, grown: size, found: true, other: func(p *trailing.Place) { p.Grown -= 4096 }},
		"another file system's":      {at: scratch, grown: size, found: true, other: func(p *trailing.Place) { p.Content.UUID = "4e2d" }},
		"one that has become larger": {at: scratch, grown: size, found: true, other: func(p *trailing.Place) { p.Content.Size += 4096 }},
	} {
		dev, p := imageWith(t, nil), place("squashfs", test.grown)
		if err := trailing.Mark(dev, p); err != nil {
			t.Fatal(err)
		}
		if _, err := dev.WriteAt([]byte{1}, int64(start+test.at)); err != nil {
			t.Fatal(err)
		}
		if test.other != nil {
			test.other(&p)
		}
		if found := survey(t, dev, p); found.Found() != test.found {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestMarkOfGrowth: space that the partition gained is not looked at again.
func TestMarkOfGrowth(t *testing.T) {
	dev, p := imageWith(t, nil), place("squashfs", size+2*disk.MiB)
	if err := trailing.Mark(dev, p); err != nil {
		t.Fatal(err)
	}
	p.Size = p.Grown // the table is published
	if found := survey(t, dev, p); found.Found() {
		t.Errorf("in what was gained: %+v", found)
	}
}

// TestMarkOfShrink: while the file system reaches to the end of the partition its mark lies in
// its second sector; it moves once the file system has become smaller, and what that cut off is
// not taken for somebody else's.
func TestMarkOfShrink(t *testing.T) {
	for _, kind := range []string{"ext2", "ext4", "btrfs"} {
		dev, p := imageWith(t, map[disk.Bytes][]byte{0: make([]byte, 4096)}), place(kind, size)
		p.Content.Size = size
		mustMark(t, dev, p)
		rest := bytes.Repeat([]byte("cut off\n"), 1000)
		if _, err := dev.WriteAt(rest, int64(start+taken)); err != nil {
			t.Fatal(err)
		}
		p.Content.Size = taken
		for _, when := range []string{"at the front", "moved", "moved again"} {
			if found := survey(t, dev, p); found.Found() {
				t.Errorf("%s, %s: %+v", kind, when, found)
			}
			mustMark(t, dev, p)
		}
		if front := dev.Bytes()[start : start+4096]; !bytes.Equal(front, make([]byte, 4096)) {
			t.Errorf("%s: the mark is left at the front: %q", kind, front[512:600])
		}
	}
}

// TestMarkSparesTheFront: a second sector with something in it is left alone, and so is that
// of a file system which uses it.
func TestMarkSparesTheFront(t *testing.T) {
	for kind, front := range map[string]byte{"ext4": 1, "xfs": 0} {
		dev, p := imageWith(t, map[disk.Bytes][]byte{0: bytes.Repeat([]byte{front}, 4096)}), place(kind, size)
		p.Content.Size = size
		mustMark(t, dev, p)
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%s: %d operations on the disk", kind, n)
		}
	}
}

func mustMark(t *testing.T, dev *simdev.Device, p trailing.Place) {
	t.Helper()
	if err := trailing.Mark(dev, p); err != nil {
		t.Fatal(err)
	}
}
