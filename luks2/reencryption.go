package luks2

import (
	"fmt"
	"slices"
)

// State is how a conversion was left.
type State int

const (
	// Clean means that no zone is half written: go on with the next.
	Clean State = iota
	// Crash means that the hot zone may be half written: redo it.
	Crash
	// Unfinished means that all data is converted and the header does not say so.
	// Call Finish and Commit. cryptsetup must not resume such a volume: one that was
	// converted forward it would encrypt a second time.
	Unfinished
)

// String names the state.
func (s State) String() string { return [...]string{"clean", "crash", "unfinished"}[s] }

// Reencryption is a pending conversion, as the header records it. Offsets that are
// called logical count from the start of the decrypted volume.
type Reencryption struct {
	Mode       string // "encrypt", "reencrypt" or "decrypt"
	Direction  string // "forward" or "backward"
	Resilience string // "datashift", "checksum", "journal", "none", …
	// Hash and ChecksumSectorSize (bytes) are those of the resilience "checksum".
	Hash               string
	ChecksumSectorSize int
	// Shift is how many bytes the data moves towards the end, or 0.
	Shift int64
	// AreaOffset and AreaSize are where the resilience keeps what it needs.
	AreaOffset, AreaSize int64
	DataOffset, DataSize int64 // of the converted volume; the size is what was there at the beginning
	State                State
	// Remaining is how many logical bytes are not converted, without the hot zone.
	Remaining            int64
	HotOffset, HotLength int64 // logical; 0, 0 unless State is Crash
	// Moved is zero where no first segment moved.
	Moved, Previous, Final Segment
	KeyslotID              int
	// Unsupported says why this package cannot continue; DataSize and Remaining are
	// then unknown (0). "" where it can.
	Unsupported string

	version              byte // of the requirement: '2' or '3'
	oldDigest, newDigest int
}

// Reencryption returns the pending conversion, or nil, nil where there is none.
// deviceSize is that of the device with the data; the header remembers it for
// MarkHot, MarkDone and Finish.
//
// Progress is in the regular segments only. They are compared with the ones that a
// conversion this far would have: a header where they differ is refused, since what
// is data and what is not would be a guess.
func (h *Header) Reencryption(deviceSize int64) (*Reencryption, error) {
	requirement := h.meta.config.pending()
	if requirement == "" {
		return nil, nil
	}
	r, err := h.pendingReencryption(requirement)
	if err != nil {
		return nil, fmt.Errorf("re-encryption metadata: %w", err)
	}
	if r.State = Clean; slices.ContainsFunc(h.Segments(), Segment.hot) {
		r.State = Crash
	}
	if r.Unsupported = r.unsupported(); r.Unsupported != "" && !r.unprotected() {
		return r, nil
	}
	if size, fixed := h.DataSize(); fixed && !r.shifts() {
		// The last zone is hot, and says where the data ends: the device may have grown since.
		deviceSize = min(deviceSize, r.Final.Offset+size)
	}
	if err := r.measure(deviceSize); err != nil {
		return nil, fmt.Errorf("re-encryption metadata: %w", err)
	}
	if err := h.locate(r); err != nil {
		return nil, fmt.Errorf("re-encryption metadata: %w", err)
	}
	h.deviceSize = deviceSize
	return r, nil
}

// pendingReencryption collects what keyslot, backup segments and digests say.
func (h *Header) pendingReencryption(requirement string) (*Reencryption, error) {
	slots := slices.DeleteFunc(h.Keyslots(), func(s Keyslot) bool { return s.Type != "reencrypt" })
	if len(slots) != 1 || (requirement != "online-reencrypt-v2" && requirement != "online-reencrypt-v3") {
		return nil, fmt.Errorf("%d keyslots record it, under the requirement %.40q", len(slots), requirement)
	}
	s := slots[0]
	r := &Reencryption{
		Mode: s.mode, Direction: s.direction, Resilience: s.area.kind, Hash: s.area.hash,
		ChecksumSectorSize: s.area.sectorSize, Shift: s.area.shift,
		AreaOffset: s.AreaOffset, AreaSize: s.AreaSize, KeyslotID: s.ID, version: requirement[len(requirement)-1],
	}
	r.Moved, _ = h.BackupSegment(BackupMoved)
	r.Previous, _ = h.BackupSegment(BackupPrevious) // check demands these two
	r.Final, _ = h.BackupSegment(BackupFinal)
	r.DataOffset = r.Final.Offset
	old, _ := h.digestOf(r.Previous.ID)
	final, _ := h.digestOf(r.Final.ID)
	r.oldDigest, r.newDigest = old.id, final.id
	return r, nil
}

// reencryptKeyslot returns the keyslot that records a conversion.
func (h *Header) reencryptKeyslot() (Keyslot, bool) {
	i := slices.IndexFunc(h.meta.keyslots, func(s Keyslot) bool { return s.Type == "reencrypt" })
	if i < 0 {
		return Keyslot{}, false
	}
	return h.meta.keyslots[i], true
}

// shifts reports whether data moves towards the end, its first bytes from a copy.
func (r *Reencryption) shifts() bool { return r.Resilience == "datashift" }

// unsupported says why this conversion cannot be continued here, or "".
func (r *Reencryption) unsupported() string {
	switch {
	case r.Mode == "reencrypt" && r.oldDigest == r.newDigest:
		return "re-encryption under the same key is not supported"
	case r.Mode == "decrypt":
		return "decryption in place is not supported"
	case r.ChecksumSectorSize > 1<<20:
		return fmt.Sprintf("checksums over %d bytes are not supported", r.ChecksumSectorSize)
	case r.Final.Type != "crypt" || r.Final.Integrity || r.Previous.Integrity:
		return "integrity protection, or data that is not to be encrypted, is not supported"
	case r.shifts() && r.Mode == "encrypt" && r.Direction == "backward" && r.Moved.Type == "linear":
		return ""
	case (r.Resilience == "checksum" || r.Resilience == "journal") && r.Direction == "forward" && r.Moved.Type == "":
		return ""
	}
	return fmt.Sprintf("%s %s with the resilience %s is not supported", r.Mode, r.Direction, r.Resilience)
}

// unit is what zones begin and end at: nothing smaller can be redone.
func (r *Reencryption) unit() int64 {
	return int64(max(r.Final.SectorSize, r.Previous.SectorSize, r.ChecksumSectorSize, areaSector))
}

// measure finds the data's size, and refuses layouts that would lose data.
func (r *Reencryption) measure(deviceSize int64) error {
	if (r.Mode == "encrypt") != (r.Previous.Type == "linear") {
		return fmt.Errorf("mode %s, and the data was %s", r.Mode, r.Previous.Type)
	}
	if r.shifts() {
		return r.measureShift(deviceSize)
	}
	if r.Previous.Offset != r.Final.Offset {
		return fmt.Errorf("the data was at byte %d and is to be at %d, without a shift", r.Previous.Offset, r.Final.Offset)
	}
	if n := r.ChecksumSectorSize; n > 0 && n < max(r.Final.SectorSize, r.Previous.SectorSize) {
		return fmt.Errorf("checksums over %d bytes cannot tell half written sectors", n)
	}
	r.DataSize = deviceSize - r.Final.Offset
	if r.DataSize <= 0 || r.DataSize%r.unit() != 0 {
		return fmt.Errorf("the device has %d bytes for data, which is not a multiple of %d", r.DataSize, r.unit())
	}
	return nil
}

// measureShift is measure for data that moves.
func (r *Reencryption) measureShift(deviceSize int64) error {
	r.DataSize = r.Previous.Size
	switch {
	case r.Final.Offset != r.Shift || r.Previous.Offset != 0:
		return fmt.Errorf("data moves from byte %d to %d, and the shift is %d", r.Previous.Offset, r.Final.Offset, r.Shift)
	case r.DataSize < r.Shift || r.DataSize%r.unit() != 0 || r.Shift%r.unit() != 0:
		return fmt.Errorf("data size %d and shift %d are not multiples of %d, or the data is smaller", r.DataSize, r.Shift, r.unit())
	case r.Moved.Size != r.Shift:
		return fmt.Errorf("%d bytes were moved, not %d", r.Moved.Size, r.Shift)
	case r.DataSize > r.Moved.Offset-r.Shift || r.Moved.Offset > deviceSize-r.Moved.Size:
		return fmt.Errorf("%d bytes of data, shifted by %d, and a copy at %d do not fit on %d bytes",
			r.DataSize, r.Shift, r.Moved.Offset, deviceSize)
	}
	return nil
}

// locate finds out how far the conversion got.
func (h *Header) locate(r *Reencryption) error {
	now := h.Segments()
	if h.allConverted(r, now) {
		r.State = Unfinished
		return nil
	}
	for _, s := range now {
		switch {
		case s.hot() && r.HotLength == 0:
			r.HotOffset, r.HotLength = s.Offset-r.Final.Offset, s.Size
		case s.hot():
			return fmt.Errorf("more than one hot zone")
		}
	}
	if r.Remaining = r.remaining(now); r.HotLength < 0 || r.Remaining < 0 || r.Remaining+r.HotLength > r.DataSize {
		return fmt.Errorf("%d bytes are hot and %d remain, of %d", r.HotLength, r.Remaining, r.DataSize)
	}
	return h.compare(r, now)
}

// remaining reads the old bytes that are left off the segments.
func (r *Reencryption) remaining(now []Segment) (n int64) {
	switch {
	case r.shifts():
		for _, s := range now {
			if s.Type == "linear" {
				n += s.Size
			}
		}
		return n
	case r.State == Crash:
		return r.DataSize - r.HotOffset - r.HotLength
	case len(now) == 1:
		return r.DataSize
	}
	return r.DataSize - now[0].Size
}

// allConverted recognises the state after the last zone: one segment in the new form
// and under the new key.
func (h *Header) allConverted(r *Reencryption, now []Segment) bool {
	s := now[0]
	if len(now) > 1 || s.hot() || s.Offset != r.Final.Offset || !s.sameForm(r.Final) || s.IVTweak != r.Final.IVTweak {
		return false
	}
	return h.listed(r.newDigest, s.ID) && !h.listed(r.oldDigest, s.ID) && (s.Size == Dynamic || s.Size == r.DataSize)
}

// listed reports whether a digest lists a segment.
func (h *Header) listed(digestID, segment int) bool {
	return slices.ContainsFunc(h.meta.digests, func(d digest) bool {
		return d.id == digestID && slices.Contains(d.segments, segment)
	})
}

// compare refuses segments that are not those of a conversion this far.
func (h *Header) compare(r *Reencryption, now []Segment) error {
	want := r.pieces(r.Remaining, r.HotLength)
	if len(now) != len(want) {
		return fmt.Errorf("%d regular segments, not %d", len(now), len(want))
	}
	for i, s := range now {
		p := want[i]
		if p.Size == Dynamic && s.Size == r.Remaining {
			p.Size = s.Size // the old tail may have its size written out
		}
		if !s.same(p.Segment) || s.hot() != p.hot() {
			return fmt.Errorf("segment %d is not what a conversion with %d bytes to go would have", s.ID, r.Remaining)
		}
		if s.Type == "crypt" && (h.listed(r.newDigest, s.ID) != p.new || h.listed(r.oldDigest, s.ID) != (p.old && r.oldDigest != none)) {
			return fmt.Errorf("segment %d has the digests of another key", s.ID)
		}
	}
	return nil
}
