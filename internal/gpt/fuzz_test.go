package gpt_test

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// fuzzSectors is the size of the fuzzer's disk: head, a little room, tail.
const fuzzSectors = 80

// fuzzDisk makes a disk from the bytes of its first sectors and of its last ones, and
// seals both copies, so that the fuzzer need not guess checksums.
func fuzzDisk(head, tail []byte, seal bool) []byte {
	f := forgery{make([]byte, fuzzSectors*512), 512}
	copy(f.image, head[:min(len(head), 40*512)])
	tail = tail[:min(len(tail), 33*512)]
	copy(f.image[len(f.image)-len(tail):], tail)
	if seal {
		f.seal(1)
		f.seal(f.last())
	}
	return f.image
}

// FuzzRead: whatever the disk holds, Read returns a sound table or an error. A table
// that it returns can be written back, and then reads the same, without a warning
// about either copy.
func FuzzRead(f *testing.F) {
	s, err := gpt.New(fuzzSectors*512, 512, uuid.UUID{1})
	if err != nil {
		f.Fatal(err)
	}
	dev := simdev.New(make([]byte, fuzzSectors*512))
	writes, err := s.Writes(s.Table, []disk.Entry{entryOf(1, 36, 2, "a"), entryOf(3, 38, 1, "💾")}, dev.Size())
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Apply(dev, writes); err != nil {
		f.Fatal(err)
	}
	image := dev.Bytes()
	f.Add(image[:3*512], image[79*512:], true)
	f.Add(image[:3*512], []byte{}, true)
	f.Add([]byte{}, image[79*512:], true)
	f.Add(image[:512], image[79*512:], true)
	f.Fuzz(func(t *testing.T, head, tail []byte, seal bool) {
		image := fuzzDisk(head, tail, seal)
		for _, sectorSize := range []disk.Bytes{512, 4096} {
			s, err := gpt.Read(bytes.NewReader(image), disk.Bytes(len(image)), sectorSize)
			if err == nil {
				rewrite(t, s, image)
			}
		}
		if _, err := gpt.ReadMBR(bytes.NewReader(image), 0); err != nil && len(err.Error()) == 0 {
			t.Error("an error without words")
		}
	})
}

// rewrite writes a table that was read back to its disk, and reads it again.
func rewrite(t *testing.T, s *gpt.State, image []byte) {
	t.Helper()
	for _, e := range s.Entries {
		if e.Offset < 0 || e.Size <= 0 || e.End() > disk.Bytes(len(image)) {
			t.Fatalf("partition %+v is not on the disk", e)
		}
	}
	writes, err := s.Writes(s.Table, s.Entries, disk.Bytes(len(image)))
	if err != nil {
		return // what may be read may still be too odd to write
	}
	dev := simdev.New(image)
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	again, err := gpt.Read(bytes.NewReader(dev.Bytes()), dev.Size(), s.SectorSize)
	if err != nil {
		t.Fatalf("after writing it back: %v", err)
	}
	if again.Table != s.Table || len(again.Entries) != len(s.Entries) {
		t.Fatalf("read %+v, %d entries; then %+v, %d entries", s.Table, len(s.Entries), again.Table, len(again.Entries))
	}
	for i := range s.Entries {
		if again.Entries[i] != s.Entries[i] {
			t.Fatalf("read %+v, then %+v", s.Entries[i], again.Entries[i])
		}
	}
	if left, err := again.Writes(again.Table, again.Entries, dev.Size()); err != nil || len(left) != 0 {
		t.Fatalf("%d writes are left (%v): %s; warnings %q, before %q", len(left), err, left[0].What, again.Warnings, s.Warnings)
	}
}
