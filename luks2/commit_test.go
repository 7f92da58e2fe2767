package luks2

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// recorder is a device that remembers its writes and syncs.
type recorder struct {
	memory
	log []write
}

// write is one write; a sync has no bytes.
type write struct {
	off   int64
	bytes []byte
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.log = append(r.log, write{off, bytes.Clone(p)})
	return r.memory.WriteAt(p, off)
}

func (r *recorder) Sync() error {
	r.log = append(r.log, write{})
	return nil
}

// cuts calls f with the device after every power cut that the log allows: all that
// was synced, and of what came after it some 512-byte sectors by every pattern of
// which write got through, the last one in part.
func cuts(before memory, log []write, f func(m memory, cut string)) {
	durable, pending := bytes.Clone(before), []write(nil)
	for i, w := range log {
		if w.bytes == nil {
			for _, p := range pending {
				copy(durable[p.off:], p.bytes)
			}
			pending = nil
			continue
		}
		pending = append(pending, w)
		for mask := range 1 << len(pending) {
			for _, part := range []int{0, 512, 4096, len(w.bytes)} {
				m := bytes.Clone(durable)
				for k, p := range pending {
					n := len(p.bytes)
					if k == len(pending)-1 {
						n = min(n, part)
					}
					if mask>>k&1 == 1 {
						copy(m[p.off:], p.bytes[:n])
					}
				}
				f(m, fmt.Sprintf("write %d, mask %b, part %d", i, mask, part))
			}
		}
	}
}

// TestPowerCutLeavesOldOrNew cuts the power everywhere in a Commit, from every state
// that the copies may be in.
func TestPowerCutLeavesOldOrNew(t *testing.T) {
	for name, spoil := range map[string]func(m memory){
		"both good":        func(memory) {},
		"primary bad":      func(m memory) { m[4100]++ },
		"secondary bad":    func(m memory) { m[16384+4100]++ },
		"secondary erased": func(m memory) { clear(m[16384:32768]) },
		"secondary old": func(m memory) {
			old := bytes.Clone(m[16384:32768])
			m.next(t)
			copy(m[16384:], old)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{memory: volume(t)}
			spoil(r.memory)
			before := memory(bytes.Clone(r.memory))
			h, err := r.read()
			check(t, err)
			old := h.SequenceID
			check(t, h.SetLabel("new", ""))
			check(t, h.Commit(r))
			equal(t, "writes and syncs", len(r.log), 8)
			cuts(before, r.log, func(m memory, cut string) {
				got, err := m.read()
				if err != nil {
					t.Fatalf("%s: %v", cut, err)
				}
				if (got.SequenceID == old) != (got.Label == "test") || got.SequenceID > old+1 || got.SequenceID < old {
					t.Fatalf("%s: sequence id %d, label %q", cut, got.SequenceID, got.Label)
				}
			})
		})
	}
}

// TestPowerCutKeepsKeyslots cuts the power everywhere while a keyslot is added and
// another removed: the other slots open always, and no slot is listed that does not.
func TestPowerCutKeepsKeyslots(t *testing.T) {
	r := &recorder{memory: volume(t)}
	before := memory(bytes.Clone(r.memory))
	h, err := r.read()
	check(t, err)
	key, _, err := h.Open(t.Context(), r, []byte(passphrase))
	check(t, err)
	_, err = h.AddKeyslot(t.Context(), r, key, []byte("third"), TokenKDF(), rand.Reader)
	check(t, err)
	check(t, h.Commit(r))
	check(t, h.RemoveKeyslot(r, 1, rand.Reader))
	passphrases := []string{passphrase, "second", "third"}
	seen := map[string]bool{}
	cuts(before, r.log, func(m memory, cut string) {
		h, err := m.read()
		check(t, err)
		state := fmt.Sprint(h.SequenceID, sha(m[32768:]))
		if seen[state] {
			return // opening is what takes the time
		}
		seen[state] = true
		for _, s := range h.Keyslots() {
			if _, err := h.OpenKeyslot(t.Context(), m, s.ID, []byte(passphrases[s.ID])); err != nil {
				t.Fatalf("%s: %v", cut, err)
			}
		}
	})
	_, err = h.OpenKeyslot(t.Context(), r, 1, []byte("second"))
	wants(t, err, "there is no keyslot 1")
}

func sha(b []byte) string {
	sum := checksum(b)
	return string(sum[:])
}

// failing is a device whose n-th write fails.
type failing struct {
	memory
	left int
}

var errDisk = errors.New("disk failed")

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		f.memory.WriteAt(p[:len(p)/2], off)
		return 0, errDisk
	}
	return f.memory.WriteAt(p, off)
}

// TestFailedCommitCanBeRepeated fails every write of a Commit, then cuts the power
// everywhere in the next one.
func TestFailedCommitCanBeRepeated(t *testing.T) {
	for n := range 6 {
		f := &failing{volume(t), n}
		h, err := f.read()
		check(t, err)
		check(t, h.SetLabel("new", ""))
		if err := h.Commit(f); !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		r := &recorder{memory: f.memory}
		before := memory(bytes.Clone(r.memory))
		check(t, h.Commit(r))
		cuts(before, r.log, func(m memory, cut string) {
			if _, err := m.read(); err != nil {
				t.Fatalf("write %d failed, then %s: %v", n, cut, err)
			}
		})
	}
}

// once is a device one write of which fails; all others work.
type once struct{ failing }

func (o *once) WriteAt(p []byte, off int64) (int, error) {
	defer func() {
		if o.left < 0 {
			o.left = 1 << 20
		}
	}()
	return o.failing.WriteAt(p, off)
}

// TestNoFailedWriteIsOverlooked: one bad moment of the disk is an error too, and so is
// one flush that fails.
func TestNoFailedWriteIsOverlooked(t *testing.T) {
	for n := range 6 {
		o := &once{failing{volume(t), n}}
		h, err := o.read()
		check(t, err)
		check(t, h.SetLabel("new", ""))
		if err := h.Commit(o); !errors.Is(err, errDisk) {
			t.Errorf("write %d: %v", n, err)
		}
	}
	for n := range 2 {
		u := &unflushed{volume(t), n}
		h, err := u.read()
		check(t, err)
		check(t, h.SetLabel("new", ""))
		err = h.Commit(u)
		if wants(t, err, "write the "+copyNames[n]+" LUKS2 header: disk failed"); !errors.Is(err, errDisk) {
			t.Errorf("flush %d: %v", n, err)
		}
	}
}

// unflushed is a device one flush of which fails.
type unflushed struct {
	memory
	left int
}

func (u *unflushed) Sync() error {
	if u.left--; u.left == -1 {
		return errDisk
	}
	return nil
}

// TestCommitTrace is what a Commit does, in order: of each copy the checksum goes first
// and comes last.
func TestCommitTrace(t *testing.T) {
	r := &recorder{memory: volume(t)}
	h, err := r.read()
	check(t, err)
	check(t, h.SetLabel("new", ""))
	check(t, h.Commit(r))
	for which := range 2 {
		at, log := int64(which)*16384, r.log[4*which:]
		for i, want := range []write{{at, make([]byte, 4096)}, {at + 4096, make([]byte, 12288)}, {at, make([]byte, 4096)}, {}} {
			if log[i].off != want.off || len(log[i].bytes) != len(want.bytes) {
				t.Errorf("copy %d, operation %d: %d bytes at %d, not %d at %d", which, i, len(log[i].bytes), log[i].off, len(want.bytes), want.off)
			}
		}
		none := make([]byte, ChecksumEnd-ChecksumOffset)
		equal(t, "the first write has no checksum", bytes.Equal(log[0].bytes[ChecksumOffset:ChecksumEnd], none), true)
		equal(t, "the last one has", bytes.Equal(log[2].bytes[ChecksumOffset:ChecksumEnd], none), false)
	}
}

// TestOverwrittenAreasAreDurable: what a key had is gone for good, not only from a cache.
func TestOverwrittenAreasAreDurable(t *testing.T) {
	o := options(512<<10, 4096)
	o.KeySize = 32
	fresh, err := Format(o)
	check(t, err)
	for name, do := range map[string]func(d Device) error{
		"fill": func(d Device) error { return fresh.FillKeyslotsArea(d, rand.Reader) },
		"remove": func(d Device) error {
			h, err := Read(d, 512<<10)
			check(t, err)
			return h.RemoveKeyslot(d, 1, rand.Reader)
		},
	} {
		r := &recorder{memory: volume(t)}
		check(t, do(r))
		if last := r.log[len(r.log)-1]; last.bytes != nil {
			t.Errorf("%s: ends with %d bytes at %d, and no flush", name, len(last.bytes), last.off)
		}
	}
	h, err := volume(t).read()
	check(t, err)
	wants(t, h.FillKeyslotsArea(volume(t), rand.Reader), "the header has keyslots: filling their area would destroy them")
}

// TestCommitRefuses a header that nobody could read again.
func TestCommitRefuses(t *testing.T) {
	long := strings.Repeat("x", 48)
	for text, spoil := range map[string]func(h *Header){
		`label "` + long + `" is longer than 47 bytes or has a NUL`: func(h *Header) { h.Label = long },
		`label "a\x00b" is longer than 47 bytes or has a NUL`:       func(h *Header) { h.Subsystem = "a\x00b" },
		"the sequence id of the header cannot grow any more":        func(h *Header) { h.SequenceID = math.MaxUint64 },
		"the LUKS2 header was wiped":                                func(h *Header) { h.Wipe() },
	} {
		r := &recorder{memory: volume(t)}
		h, err := r.read()
		check(t, err)
		spoil(h)
		wants(t, h.Commit(r), text)
		equal(t, "writes", len(r.log), 0)
	}
}

func TestSomebodyElseCommitted(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	m.next(t)
	err = h.Commit(m)
	wants(t, err, "the header on disk changed meanwhile: sequence id 3 there, 2 here")
	if !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
}

// Two programs that began with the same header: the second to commit finds a sequence id
// no higher than its own, as after cryptsetup restored a backup, and another content.
func TestSomebodyElseCommittedTheSameNumber(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	other, err := m.read()
	check(t, err)
	check(t, other.SetLabel("theirs", ""))
	other.SequenceID -= 1 // and Commit makes it that of h
	check(t, other.Commit(m))
	r := &recorder{memory: m}
	wants(t, h.Commit(r), "the header on disk changed meanwhile: sequence id 2 there, 2 here")
	equal(t, "writes", len(r.log), 0)
}

func TestRemovedAreaIsNotReusedTooEarly(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	key, _, err := h.Open(t.Context(), m, []byte(passphrase))
	check(t, err)
	check(t, h.DropKeyslot(1))
	wants(t, h.WipeRemoved(m, rand.Reader), "keyslot 1 must not be wiped before its removal is committed")
	id, err := h.AddKeyslot(t.Context(), m, key, []byte("new"), TokenKDF(), rand.Reader)
	check(t, err)
	equal(t, "id", id, 1)
	onDisk, err := m.read()
	check(t, err)
	_, err = onDisk.OpenKeyslot(t.Context(), m, 1, []byte("second"))
	check(t, err)
	check(t, h.Commit(m))
	check(t, h.WipeRemoved(m, rand.Reader))
	_, err = h.OpenKeyslot(t.Context(), m, 1, []byte("new"))
	check(t, err)
}

func TestFullHeader(t *testing.T) {
	m := volume(t)
	h, err := m.read()
	check(t, err)
	key, _, err := h.Open(t.Context(), m, []byte(passphrase))
	check(t, err)
	_, err = h.AddKeyslot(t.Context(), m, key, []byte("third"), TokenKDF(), rand.Reader)
	check(t, err)
	before := bytes.Clone(m)
	_, err = h.AddKeyslot(t.Context(), m, key, []byte("fourth"), TokenKDF(), rand.Reader)
	wants(t, err, "add a keyslot: no room for 131072 bytes in the keyslots area of 491520 bytes")
	_, err = h.AddKeyslot(t.Context(), m, key, []byte("fourth"), KDF{Type: "argon2id", Time: 3, MemoryKiB: 64, CPUs: 1}, rand.Reader)
	wants(t, err, "add a keyslot: kdf: 3 passes are less than 4, or too many")
	wants(t, h.FillKeyslotsArea(m, rand.Reader), "the header has keyslots: filling their area would destroy them")
	if !bytes.Equal(before, m) {
		t.Fatal("something was written")
	}
}

func TestFormatRefused(t *testing.T) {
	for text, change := range map[string]func(o *FormatOptions){
		"header size 20480 is not a power of two from 16384 to 4194304":                                 func(o *FormatOptions) { o.HeaderSize = 20480 },
		`cipher "aes-xts-plain64" with a key of 0 bytes is not possible`:                                func(o *FormatOptions) { o.KeySize = 0 },
		"sector size 8192 is not 512, 1024, 2048 or 4096":                                               func(o *FormatOptions) { o.SectorSize = 8192 },
		"data offset 32769 is not a multiple of 512 from 32768 on, where the header ends":               func(o *FormatOptions) { o.DataOffset = 32769 },
		"data offset 16384 is not a multiple of 512 from 32768 on, where the header ends":               func(o *FormatOptions) { o.DataOffset = 16384 },
		`label "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is longer than 47 bytes or has a NUL`: func(o *FormatOptions) { o.Label = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
	} {
		o := options(mib, 512)
		change(&o)
		_, err := Format(o)
		wants(t, err, text)
	}
	h, err := Format(options(mib, 512))
	check(t, err)
	wants(t, h.Commit(make(memory, mib)), "the header has no key yet: segment 0 is in no digest")
	h.Wipe()
	wants(t, h.Commit(make(memory, mib)), "the LUKS2 header was wiped")
}

func TestLastSequenceID(t *testing.T) {
	m := volume(t)
	m.binary(func(b []byte) { copy(b[sequenceOffset:], "\xff\xff\xff\xff\xff\xff\xff\xff") })
	h, err := m.read()
	check(t, err)
	wants(t, h.Commit(m), "the sequence id of the header cannot grow any more")
}

func TestDetachedHeader(t *testing.T) {
	img := newImage(t, 16*mib)
	o := options(0, 512)
	o.HeaderSize = 64 << 10
	o.AllowDiscards = true
	h, _ := img.format(o)
	equal(t, "flags", img.dump().Config.Flags, []string{"allow-discards"})
	equal(t, "keyslots size", img.dump().Config.KeyslotsSize, fmt.Sprint(16*mib-(128<<10)))
	equal(t, "data offset", h.DataOffset(), 0)
	img.opens(passphrase)
}
