package luks2

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"reflect"
	"slices"

	"golang.org/x/crypto/xts"
)

// areaSector is the unit of encryption in keyslot areas, always.
const areaSector = 512

// The cipher of every keyslot area that is made here.
const (
	areaEncryption = "aes-xts-plain64"
	areaKeySize    = 64
)

// materialSize is how many bytes of an area the split key takes.
func materialSize(keySize int) int64 { return roundUp(int64(keySize)*stripes, areaSector) }

// roundUp rounds n up to a multiple of unit.
func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// areaCipher returns the cipher of a keyslot area, and what wipes it: its schedules begin with
// the key, and neither package offers a way to clear them.
func areaCipher(encryption string, key []byte) (c *xts.Cipher, wipe func(), err error) {
	if encryption != areaEncryption {
		return nil, nil, fmt.Errorf("keyslot area cipher %.40q is not supported, only %s is", encryption, areaEncryption)
	}
	if len(key) != 32 && len(key) != 64 {
		return nil, nil, fmt.Errorf("keyslot area key has %d bytes, not 32 or 64", len(key))
	}
	var schedules []cipher.Block
	c, err = xts.NewCipher(func(half []byte) (cipher.Block, error) {
		block, err := aes.NewCipher(half)
		schedules = append(schedules, block)
		return block, err
	}, key)
	return c, func() {
		for _, block := range schedules {
			reflect.ValueOf(block).Elem().SetZero()
		}
	}, err
}

// encryptArea encrypts in place; the first sector has the number 0.
func encryptArea(c *xts.Cipher, p []byte) {
	for i := 0; i*areaSector < len(p); i++ {
		sector := p[i*areaSector : (i+1)*areaSector]
		c.Encrypt(sector, sector, uint64(i))
	}
}

// decryptArea undoes encryptArea.
func decryptArea(c *xts.Cipher, p []byte) {
	for i := 0; i*areaSector < len(p); i++ {
		sector := p[i*areaSector : (i+1)*areaSector]
		c.Decrypt(sector, sector, uint64(i))
	}
}

// span is a run of bytes on the header's device.
type span struct{ offset, size int64 }

func (s span) end() int64 { return s.offset + s.size }

// keyslotsArea is where keyslots may lie.
func (h *Header) keyslotsArea() span {
	return span{2 * h.HeaderSize, h.meta.config.keyslotsSize}
}

// roomForKeyslots is what the keyslots area can be: all that lies between the header copies
// and the data. Other programs may have made it smaller.
func (h *Header) roomForKeyslots() span {
	area := h.keyslotsArea()
	if h.DataOffset() > 0 {
		area.size = max(area.size, attachedKeyslotsSize(h.HeaderSize, h.DataOffset()))
	}
	return area
}

// widen makes the keyslots area of t as large as it can be, where place does not lie in it.
func (h *Header) widen(t *tree, place span) {
	if place.end() > h.keyslotsArea().end() {
		t.config = t.config.with("keyslots_size", jsonSize(h.roomForKeyslots().size))
	}
}

// KeyslotRoom returns the sizes of the free runs that keyslots can go to, in order, in bytes:
// each takes KeyslotSize of the first that has so much. While a volume is re-encrypted, the
// largest that is left then is for the record of that.
func (h *Header) KeyslotRoom() []int64 {
	sizes := []int64{}
	for _, g := range h.gaps() {
		sizes = append(sizes, g.size)
	}
	return sizes
}

// JSONRoom returns how many bytes of the header's JSON area are free.
func (h *Header) JSONRoom() int64 { return h.HeaderSize - binarySize - 1 - int64(len(h.tree.encode())) }

// JSONRoomEmptied returns how many will be free without any keyslot and the tokens that are for
// keyslots.
func (h *Header) JSONRoomEmptied() (int64, error) {
	t := h.tree.clone()
	for _, token := range h.meta.tokens {
		if len(token.Keyslots) > 0 {
			delete(t.tokens, token.ID)
		}
	}
	for _, slot := range h.meta.keyslots {
		if err := t.dropKeyslot(slot.ID); err != nil {
			return 0, err
		}
	}
	return h.HeaderSize - binarySize - 1 - int64(len(t.encode())), nil
}

// KeyslotSize returns how much room a new keyslot takes that holds a key of keySize bytes.
func KeyslotSize(keySize int) int64 { return roundUp(int64(keySize)*stripes, areaAlignment) }

// gaps returns the free, aligned runs of the room for keyslots in order. What a removed
// keyslot had stays taken until it is wiped: until the removal is committed, the
// slot on disk needs it.
func (h *Header) gaps() []span {
	taken := make([]span, 0, len(h.meta.keyslots)+len(h.removed))
	for _, s := range h.meta.keyslots {
		taken = append(taken, span{s.AreaOffset, s.AreaSize})
	}
	for _, r := range h.removed {
		taken = append(taken, r.area)
	}
	slices.SortFunc(taken, func(a, b span) int { return int(min(max(a.offset-b.offset, -1), 1)) })
	area := h.roomForKeyslots()
	var free []span
	at := area.offset
	for _, s := range append(taken, span{area.end(), 0}) {
		if n := (s.offset - at) / areaAlignment * areaAlignment; n > 0 {
			free = append(free, span{at, n})
		}
		at = max(at, roundUp(s.end(), areaAlignment))
	}
	return free
}

// firstGap returns the first free place for size bytes.
func (h *Header) firstGap(size int64) (span, error) {
	for _, g := range h.gaps() {
		if g.size >= size {
			return span{g.offset, size}, nil
		}
	}
	return span{}, fmt.Errorf("no room for %d bytes in the keyslots area of %d bytes", size, h.roomForKeyslots().size)
}

// largestGap returns the largest free place.
func (h *Header) largestGap() (span, error) {
	var best span
	for _, g := range h.gaps() {
		if g.size > best.size {
			best = g
		}
	}
	if best.size == 0 {
		return best, fmt.Errorf("the keyslots area of %d bytes is full", h.roomForKeyslots().size)
	}
	return best, nil
}

// FillKeyslotsArea overwrites the whole keyslots area with random bytes, as a fresh
// volume has it, and syncs: what lay there before is gone. It refuses a header that
// has keyslots. A power cut leaves the old bytes in part, and no header that a
// reader would take for one.
func (h *Header) FillKeyslotsArea(d Device, rnd io.Reader) error {
	if len(h.meta.keyslots) > 0 {
		return fmt.Errorf("the header has keyslots: filling their area would destroy them")
	}
	return overwrite(d, h.keyslotsArea(), rnd)
}

// overwrite writes random bytes and syncs.
func overwrite(d Device, s span, rnd io.Reader) error {
	buf := make([]byte, min(s.size, 1<<20))
	for s.size > 0 {
		p := buf[:min(s.size, int64(len(buf)))]
		if _, err := io.ReadFull(rnd, p); err != nil {
			return fmt.Errorf("random bytes: %w", err)
		}
		if _, err := d.WriteAt(p, s.offset); err != nil {
			return fmt.Errorf("overwrite %d bytes at %d: %w", len(p), s.offset, err)
		}
		s.offset, s.size = s.offset+int64(len(p)), s.size-int64(len(p))
	}
	return d.Sync()
}
