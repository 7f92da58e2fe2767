package luks2

import "slices"

// Priorities of keyslots.
const (
	PriorityIgnore = 0 // never tried unless named
	PriorityNormal = 1
	PriorityPrefer = 2
)

// Holds says which volume key a keyslot has.
type Holds string

const (
	// HoldsFinal is the key of the data, or of its final form during a conversion.
	HoldsFinal Holds = "final"
	// HoldsPrevious is the key of the data's old form during a re-encryption.
	HoldsPrevious Holds = "previous"
	// HoldsOther is a key that no segment uses (an unbound keyslot), or none at all
	// (a re-encryption keyslot).
	HoldsOther Holds = "other"
)

// Keyslot is one way to a volume key, or the record of a re-encryption.
type Keyslot struct {
	ID       int
	Type     string // "luks2", "reencrypt"; others are kept but not understood
	KeySize  int    // bytes of the volume key
	Priority int
	Holds    Holds
	// KDF turns the passphrase into the key of the area. Zero unless Type is "luks2".
	KDF KDF
	// AFHash is the hash of the anti-forensic splitter.
	AFHash string
	// AreaOffset and AreaSize are bytes on the header's device.
	AreaOffset, AreaSize int64
	// AreaEncryption and AreaKeySize (bytes) say how the area is encrypted.
	AreaEncryption string
	AreaKeySize    int

	salt            []byte
	broken          error  // why it cannot be opened
	unverifiable    error  // why its key cannot be verified; set by Keyslots
	mode, direction string // of a re-encryption
	area            reencryptArea
}

// reencryptArea is what the area of a re-encryption keyslot holds.
type reencryptArea struct {
	kind       string // none, checksum, journal, datashift, datashift-checksum, datashift-journal
	hash       string
	sectorSize int
	shift      int64
}

// maxKeySize bounds a volume key, in bytes: with 4000 stripes it must stay a small
// allocation. The longest that are in use, 640, are secure keys of an s390x (EP11-AES).
const maxKeySize = 1024

func parseKeyslot(id int, f fields) Keyslot {
	s := Keyslot{ID: id, Type: f.word("type"), KeySize: f.number("key_size"), Priority: PriorityNormal}
	if f.has("priority") {
		s.Priority = f.lenient(new(error)).number("priority")
	}
	area := f.sub("area")
	kind := area.word("type")
	s.AreaOffset, s.AreaSize = area.size("offset"), area.size("size")
	switch s.Type {
	case "luks2":
		s.parsePassphrase(f, area, kind)
	case "reencrypt":
		s.parseReencrypt(f, area, kind)
	}
	return s
}

// parsePassphrase takes what a "luks2" keyslot has.
func (s *Keyslot) parsePassphrase(f, area fields, kind string) {
	kdf, af := f.sub("kdf"), f.sub("af")
	demandKDF(kdf)
	if kind := af.word("type"); kind != "luks1" {
		af.fail("type %.40q is not luks1", kind)
	}
	s.AFHash = af.word("hash")
	af.integer("stripes")
	if kind != "raw" {
		area.fail("type %.40q is not raw", kind)
	}
	s.AreaEncryption = area.word("encryption")
	area.integer("key_size")
	s.parseSecrets(f.lenient(&s.broken), area.lenient(&s.broken), kdf.lenient(&s.broken))
}

// parseSecrets takes what only matters for who opens the keyslot.
func (s *Keyslot) parseSecrets(f, area, kdf fields) {
	if s.KeySize < 1 || s.KeySize > maxKeySize {
		f.fail("key_size %d is not from 1 to %d", s.KeySize, maxKeySize)
	}
	if s.AreaKeySize = area.number("key_size"); s.AreaKeySize < 1 || s.AreaKeySize > maxKeySize {
		area.fail("key_size %d is not from 1 to %d", s.AreaKeySize, maxKeySize)
	}
	if s.KDF, s.salt = parseKDF(kdf); len(s.salt) != saltSize {
		kdf.fail("salt has %d bytes, not %d", len(s.salt), saltSize)
	}
}

// demandKDF demands the fields of the KDFs that are known. What stands in them is for
// who opens the keyslot.
func demandKDF(f fields) {
	switch f.word("type") {
	case "pbkdf2":
		_ = f.word("hash")
		f.integer("iterations")
	case "argon2i", "argon2id":
		for _, name := range []string{"time", "memory", "cpus"} {
			f.integer(name)
		}
	default:
		return
	}
	_ = f.word("salt")
}

// parseReencrypt takes what a "reencrypt" keyslot has.
func (s *Keyslot) parseReencrypt(f, area fields, kind string) {
	if s.KeySize != 1 {
		f.fail("key_size of a reencrypt keyslot is %d, not 1", s.KeySize)
	}
	s.mode, s.direction, s.area.kind = f.word("mode"), f.word("direction"), kind
	if !slices.Contains([]string{"encrypt", "reencrypt", "decrypt"}, s.mode) {
		f.fail("mode %.40q is not known", s.mode)
	}
	if s.direction != "forward" && s.direction != "backward" {
		f.fail("direction %.40q is not known", s.direction)
	}
	s.area.parse(area)
}

// parse takes the fields that the kind of area calls for. Kinds that are not known
// here are for Reencryption to refuse.
func (a *reencryptArea) parse(f fields) {
	switch a.kind {
	case "checksum", "datashift-checksum":
		var n int64
		a.hash, a.sectorSize = f.word("hash"), f.number("sector_size")
		if f.decode("sector_size", "a number", &n); n < 512 || n&(n-1) != 0 {
			f.fail("sector_size %d is not a power of two from 512 on", n)
		}
	case "datashift", "datashift-journal":
		n := f.unsigned("shift_size")
		if a.shift = f.size("shift_size"); n == 0 || n%512 != 0 {
			f.fail("shift_size %d is not a multiple of 512 above 0", n)
		}
	}
}

// Keyslots returns the keyslots in the order of their ids, those of the type
// "reencrypt" too.
func (h *Header) Keyslots() []Keyslot {
	slots := slices.Clone(h.meta.keyslots)
	for i := range slots {
		slots[i].Holds = h.holds(slots[i].ID)
		slots[i].salt = nil
		if d, ok := h.digestOfKeyslot(slots[i].ID); ok {
			slots[i].unverifiable = d.usable()
		}
	}
	return slots
}

// Salt returns the salt of a keyslot's KDF, nil where it has none. It is random, so that no
// two keyslots that were ever made have the same.
func (h *Header) Salt(keyslot int) []byte {
	s, _ := h.keyslot(keyslot)
	return slices.Clone(s.salt)
}

// SegmentKey returns which volume key a segment of the type "crypt" is under, and the
// id of that key's digest.
func (h *Header) SegmentKey(segment int) (Holds, int) {
	d, ok := h.digestOf(segment)
	return h.holdsKeyOf(d, ok), d.id
}

// holds tells which volume key a keyslot has.
func (h *Header) holds(id int) Holds { return h.holdsKeyOf(h.digestOfKeyslot(id)) }

// holdsKeyOf tells which volume key a digest is of.
func (h *Header) holdsKeyOf(d digest, ok bool) Holds {
	previous, converting := h.BackupSegment(BackupPrevious)
	switch {
	case !ok:
	case slices.Contains(d.segments, h.dataSegment().ID):
		return HoldsFinal
	case converting && slices.Contains(d.segments, previous.ID):
		return HoldsPrevious
	}
	return HoldsOther
}

// keyslot returns the keyslot with an id.
func (h *Header) keyslot(id int) (Keyslot, bool) {
	for _, s := range h.meta.keyslots {
		if s.ID == id {
			return s, true
		}
	}
	return Keyslot{}, false
}

// encode returns a "luks2" keyslot as it stands in the JSON.
func (s Keyslot) encode() object {
	af := object{{"type", jsonString("luks1")}, {"stripes", jsonInt(stripes)}, {"hash", jsonString(s.AFHash)}}
	area := object{
		{"type", jsonString("raw")}, {"offset", jsonSize(s.AreaOffset)}, {"size", jsonSize(s.AreaSize)},
		{"encryption", jsonString(s.AreaEncryption)}, {"key_size", jsonInt(s.AreaKeySize)},
	}
	return object{
		{"type", jsonString("luks2")}, {"key_size", jsonInt(s.KeySize)},
		{"af", af.encode()}, {"area", area.encode()}, {"kdf", s.KDF.encode(s.salt).encode()},
	}
}
