package luks2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dynamic is the Size of a segment that reaches to the end of its device.
const Dynamic int64 = -1

// Segment flags of the format.
const (
	FlagInReencryption = "in-reencryption"
	BackupPrevious     = "backup-previous"
	BackupFinal        = "backup-final"
	BackupMoved        = "backup-moved-segment"
)

// Segment is a run of bytes on the data device.
type Segment struct {
	ID     int
	Type   string // "crypt", "linear"; others ("hw-opal", …) are read only
	Offset int64  // bytes from the start of the data device
	Size   int64  // bytes, or Dynamic
	// IVTweak is what the cipher counts from: the tweak of byte o of the segment is
	// IVTweak + o/512, in 512-byte sectors for every SectorSize.
	IVTweak    uint64
	Encryption string // such as "aes-xts-plain64"; "" unless Type is "crypt"
	SectorSize int    // bytes; 0 unless Type is "crypt"
	Flags      []string
	// Integrity tells that the segment sits on dm-integrity, which is not handled
	// here.
	Integrity bool
}

func parseSegment(id int, f fields) Segment {
	s := Segment{ID: id, Type: f.word("type"), Offset: f.size("offset"), Size: Dynamic}
	if f.text("size") != "dynamic" {
		s.Size = f.size("size")
	}
	if f.has("flags") {
		s.Flags = f.strings("flags")
	}
	if s.Type == "crypt" {
		s.IVTweak = f.unsigned("iv_tweak")
		s.Encryption = f.word("encryption")
		s.SectorSize = f.number("sector_size")
		if s.Integrity = f.has("integrity"); s.Integrity {
			i := f.sub("integrity")
			_, _, _ = i.word("type"), i.word("journal_encryption"), i.word("journal_integrity")
		}
	}
	s.check(f)
	return s
}

// check demands what the format does of one segment by itself. Whether a device can
// hold it is for Activation to judge.
func (s Segment) check(f fields) {
	unit := 512
	if s.Type == "crypt" {
		if s.SectorSize == 0 || s.SectorSize%512 != 0 {
			f.fail("sector_size %d is not a multiple of 512 above 0", s.SectorSize)
			return
		}
		unit = s.SectorSize
	}
	offset := f.unsigned("offset")
	if offset%512 != 0 {
		f.fail("offset %d is not a multiple of 512", offset)
	}
	if s.Size == Dynamic {
		return
	}
	if size := f.unsigned("size"); size == 0 {
		f.fail("size is 0")
	} else if size%uint64(unit) != 0 || size%512 != 0 {
		f.fail("size %d is not a multiple of %d", size, unit)
	}
}

// encode returns the segment as it stands in the JSON.
func (s Segment) encode() object {
	o := object{{"type", jsonString(s.Type)}, {"offset", jsonSize(s.Offset)}}
	if s.Size == Dynamic {
		o = append(o, member{"size", jsonString("dynamic")})
	} else {
		o = append(o, member{"size", jsonSize(s.Size)})
	}
	if s.Type == "crypt" {
		o = append(o, member{"iv_tweak", jsonString(strconv.FormatUint(s.IVTweak, 10))},
			member{"encryption", jsonString(s.Encryption)}, member{"sector_size", jsonInt(s.SectorSize)})
	}
	if len(s.Flags) > 0 {
		o = append(o, member{"flags", jsonStrings(s.Flags)})
	}
	return o
}

// backup reports whether the segment only records a layout.
func (s Segment) backup() bool {
	return slices.ContainsFunc(s.Flags, func(flag string) bool { return strings.HasPrefix(flag, "backup-") })
}

// hot reports whether the segment is being rewritten.
func (s Segment) hot() bool { return slices.Contains(s.Flags, FlagInReencryption) }

// part returns the n bytes of s from off on (n may be Dynamic), without flags.
func (s Segment) part(off, n int64) Segment {
	p := s
	p.Offset, p.Size, p.Flags = s.Offset+off, n, nil
	if p.Type == "crypt" {
		p.IVTweak = s.IVTweak + uint64(off)/512
	}
	return p
}

// flagged returns s with one flag and no others.
func (s Segment) flagged(flag string) Segment {
	s.Flags = []string{flag}
	return s
}

// same reports whether two segments are the same bytes in the same form.
func (s Segment) same(t Segment) bool {
	return s.Type == t.Type && s.Offset == t.Offset && s.Size == t.Size && s.sameForm(t) && s.IVTweak == t.IVTweak
}

// sameForm reports whether two segments hold data in the same form.
func (s Segment) sameForm(t Segment) bool {
	return s.Type == t.Type && s.Encryption == t.Encryption && s.SectorSize == t.SectorSize
}

// Segments returns the regular segments in order: the data as it lies now.
func (h *Header) Segments() []Segment { return regular(h.meta.segments) }

// regular returns the segments that are no backup.
func regular(all []Segment) []Segment {
	return slices.DeleteFunc(slices.Clone(all), Segment.backup)
}

// BackupSegment returns the segment that records a layout: BackupPrevious,
// BackupFinal or BackupMoved. Only volumes in conversion have them.
func (h *Header) BackupSegment(flag string) (Segment, bool) {
	for _, s := range h.meta.segments {
		if slices.Contains(s.Flags, flag) {
			return s, true
		}
	}
	return Segment{}, false
}

// dataSegment returns the segment that describes the volume's data: while it is
// converted, its layout afterwards.
func (h *Header) dataSegment() Segment {
	if s, ok := h.BackupSegment(BackupFinal); ok {
		return s
	}
	return h.Segments()[0] // check allows no header without one
}

// DataOffset returns where the data begins on its device, in bytes: 0 where the
// header lies elsewhere. While the volume is converted, this and the following
// describe it afterwards.
func (h *Header) DataOffset() int64 { return h.dataSegment().Offset }

// DataSize returns how many bytes of data there are, where every segment says its own size:
// the header alone tells. Else the last one reaches to the end of the device.
func (h *Header) DataSize() (size int64, known bool) {
	for _, s := range h.Segments() {
		if s.Size == Dynamic {
			return 0, false
		}
		size += s.Size
	}
	return size, true
}

// Cipher returns the data's encryption, such as "aes-xts-plain64"; "" for plaintext.
func (h *Header) Cipher() string { return h.dataSegment().Encryption }

// SectorSize returns the unit of encryption in bytes; 0 for plaintext.
func (h *Header) SectorSize() int { return h.dataSegment().SectorSize }

// KeySize returns the bytes of the volume key, or 0 before the first keyslot.
func (h *Header) KeySize() int {
	d, ok := h.digestOf(h.dataSegment().ID)
	for _, slot := range h.meta.keyslots {
		if ok && slices.Contains(d.keyslots, slot.ID) {
			return slot.KeySize
		}
	}
	return h.formatKeySize
}

// SetDynamicSize lets the only data segment reach to the end of the device. It
// changes nothing where it does already, and fails while the volume is converted.
func (h *Header) SetDynamicSize() error {
	if len(h.meta.segments) != 1 {
		return fmt.Errorf("the volume has %d segments, so none can take the whole device", len(h.meta.segments))
	}
	t := h.tree.clone()
	t.segments[0] = t.segments[0].with("size", jsonString("dynamic"))
	return h.adopt(t)
}
