package probe

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
)

// hostile is a device that begins and ends with some bytes, has zeros between, and
// counts what is asked of it.
type hostile struct {
	t          *testing.T
	head, tail []byte
	size, read int64
}

func (h *hostile) ReadAt(p []byte, off int64) (int, error) {
	if h.read += int64(len(p)); len(p) > 4<<20 || h.read > 64<<20 {
		h.t.Fatalf("a read of %d bytes at %d, %d in all", len(p), off, h.read)
	}
	n := max(0, min(len(p), int(h.size-off)))
	clear(p[:n])
	if off < int64(len(h.head)) {
		copy(p[:n], h.head[off:])
	}
	if tail := h.size - int64(len(h.tail)) - off; tail >= 0 && tail < int64(n) {
		copy(p[tail:n], h.tail)
	} else if tail < 0 {
		copy(p[:n], h.tail[min(-tail, int64(len(h.tail))):])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// FuzzContent: nothing on a disk makes us panic, read without end, or say what
// JSON cannot carry.
func FuzzContent(f *testing.F) {
	head, tail := make([]byte, 1<<20), make([]byte, 1<<20)
	add := func(fill func(head, tail []byte), headSize, tailSize int) {
		clear(head)
		clear(tail)
		fill(head, tail)
		f.Add(head[:headSize], tail[len(tail)-tailSize:])
	}
	add(ntfs, 20<<10, 0)
	add(exfat, 41<<10, 0)
	add(lvm2, 1<<10, 0)
	add(func(b, _ []byte) { raid1(b[4096:], 4096, []byte("0123456789abcdef")) }, 5<<10, 0)
	add(func(_, b []byte) { raid0(b, binary.LittleEndian) }, 0, 64<<10)
	add(func(b, _ []byte) { iso(b, true) }, 40<<10, 0)
	add(func(b, tail []byte) { zfs(b, tail) }, 133<<10, 0)
	add(func(b, _ []byte) { copy(b[512-2:], "\x55\xAA"); copy(b[512:], "EFI PART") }, 1<<10, 0)
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		size := int64(len(head) + len(tail))
		if size%3 == 0 {
			size += device
		}
		c, err := Content(&hostile{t: t, head: head, tail: tail, size: size}, disk.Bytes(size))
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back disk.Content
		if err := json.Unmarshal(encoded, &back); err != nil || !cmp.Equal(c, back) {
			t.Fatalf("%+v comes back as %+v: %v", c, back, err)
		}
	})
}
