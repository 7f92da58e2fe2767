package luks2

import (
	"bytes"
	"testing"
)

// FuzzRead reads a header whose JSON is anything, under a right checksum. Whatever is
// accepted must stay the same through a Commit, and every question has an answer.
func FuzzRead(f *testing.F) {
	good := volume(f)
	text, err := splitArea(good[4096:16384])
	check(f, err)
	f.Add([]byte(text))
	for _, c := range damages {
		if len(c.text) < 60 {
			f.Add([]byte(c.change(string(text))))
		}
	}
	j := shifted(f, mib, mib, 0, 512)
	f.Add([]byte(j.h.tree.encode()))
	j.hot(0)
	f.Add([]byte(j.h.tree.encode()))
	f.Add([]byte(gap(f, "checksum", 512).h.tree.encode()))
	f.Add([]byte(rekey(f, "journal", 0).h.tree.encode()))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 12288 {
			return
		}
		m := make(memory, 4<<20)
		copy(m, good[:32768])
		m.json(func(string) string { return string(text) })
		h, err := m.read()
		if err != nil {
			return
		}
		ask(h, int64(len(m)))
		first := h.tree.encode()
		if err := h.Commit(m); err != nil {
			return
		}
		again, err := m.read()
		check(t, err)
		if !bytes.Equal(first, again.tree.encode()) {
			t.Fatalf("changed by Commit:\n%s\n%s", first, again.tree.encode())
		}
	})
}

// FuzzBinary reads anything as a device.
func FuzzBinary(f *testing.F) {
	good := volume(f)
	f.Add([]byte(good[:512]), []byte(good[16384:16384+512]))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		m := memory(bytes.Clone(good[:65536]))
		copy(m, first)
		copy(m[16384:], second)
		if h, err := m.read(); err == nil {
			ask(h, int64(len(m)))
		}
	})
}

// ask asks a header everything that costs no time.
func ask(h *Header, size int64) {
	h.Keyslots()
	h.Tokens()
	h.candidates()
	h.gaps()
	h.DataOffset()
	h.KeySize()
	_ = h.Finished(Place{Size: size})
	if a, err := h.Activation(Place{Size: size}); err == nil && a.Reencryption == nil && (len(a.Segments) != 1 || a.Segments[0].Type != "crypt" || a.Segments[0].Offset >= size) {
		panic("what is finished is not one encrypted segment on the device")
	}
	r, err := h.Reencryption(size)
	if err != nil || r == nil || r.Unsupported != "" {
		return
	}
	if r.State == Clean {
		_ = h.MarkHot(r.Remaining-r.MaxZone(), r.MaxZone())
	}
	_ = h.MarkDone()
	_ = h.Finish(FinishOptions{})
}
