package blockdev_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// TestSectionKeepsInside: no write, read or discard through a section reaches a byte
// outside of it, whatever the offset and length.
func TestSectionKeepsInside(t *testing.T) {
	const from, size = 32, 64
	for off := int64(-3); off < size+3; off++ {
		for n := 0; n < size+6; n++ {
			dev := simdev.New(bytes.Repeat([]byte{1}, 128))
			s, err := blockdev.NewSection(dev, disk.Extent{Offset: from, Size: size})
			if err != nil {
				t.Fatal(err)
			}
			inside := off >= 0 && off+int64(n) <= size
			_, err = s.WriteAt(bytes.Repeat([]byte{2}, n), off)
			if (err == nil) != inside || err != nil && !strings.Contains(err.Error(), " is outside its ") {
				t.Fatalf("write of %d at %d: %v", n, off, err)
			}
			if err := s.Discard(disk.Extent{Offset: disk.Bytes(off), Size: disk.Bytes(n)}); (err == nil) != inside || err != nil && !strings.Contains(err.Error(), " is outside its ") {
				t.Fatalf("discard of %d at %d: %v", n, off, err)
			}
			want := bytes.Repeat([]byte{1}, 128)
			if inside {
				clear(want[from+off : from+off+int64(n)])
			}
			if !bytes.Equal(dev.Bytes(), want) {
				t.Fatalf("%d at %d: wrong bytes changed", n, off)
			}
			got, err := s.ReadAt(make([]byte, n), off)
			if n > 0 && off >= 0 && (got != min(n, max(0, size-int(off))) || (got < n) != errors.Is(err, io.EOF)) {
				t.Fatalf("read of %d at %d: %d, %v", n, off, got, err)
			}
		}
	}
}

// TestSectionOutside: a section that is not wholly on its device cannot be made.
func TestSectionOutside(t *testing.T) {
	dev := simdev.New(make([]byte, 128))
	for _, e := range []disk.Extent{{Offset: -1, Size: 2}, {Offset: 0, Size: -1}, {Offset: 0, Size: 129}, {Offset: 128, Size: 1}, {Offset: 1 << 62, Size: 1 << 62}, {Offset: 129}} {
		if _, err := blockdev.NewSection(dev, e); err == nil || !strings.Contains(err.Error(), "are not on the device (128 bytes)") {
			t.Errorf("%+v: %v", e, err)
		}
	}
	s, err := blockdev.NewSection(dev, disk.Extent{Offset: 128})
	if err != nil || s.Size() != 0 {
		t.Errorf("an empty section at the end: %v", err)
	}
}
