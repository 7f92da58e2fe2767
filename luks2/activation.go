package luks2

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// This is the one place that decides what a header may make of a device. A header is
// text that whoever owns the disk can write: nothing of it is mapped, decrypted or
// rewritten before Activation has judged its form, and Verify that the keys vouch for it.

// Place is where the data of a volume lies.
type Place struct {
	Size     int64 // bytes of the device with the data
	Detached bool  // the header lies elsewhere
}

// Activation is what a header makes of its data, once Verify agrees.
type Activation struct {
	// Segments are the data in order: one that is encrypted, or in a conversion what is
	// old and what is new.
	Segments []Segment
	// Reencryption is the pending conversion, nil for a finished volume.
	Reencryption *Reencryption

	header *Header
}

// Activation judges whether the volume's data can be used, and how. Of a finished volume
// it is exactly one encrypted segment; of one in conversion what a conversion this far
// would have, and the record of that must be one that its keys vouch for: see Verify.
//
// The error is ErrUnsupported where the header is sound and asks for what is not done
// here: a requirement, a cipher, integrity protection, a form of conversion. Everything
// else that it refuses contradicts itself, or would not encrypt.
func (h *Header) Activation(p Place) (*Activation, error) {
	r, err := h.judge(p)
	if err != nil {
		return nil, err
	}
	a := &Activation{Segments: h.Segments(), Reencryption: r, header: h}
	return a, a.supported()
}

// Finished judges whether the header is that of a volume at rest, as those must be whose
// keys are changed: one encrypted segment and no conversion. How it is encrypted does
// not matter, unless not at all.
func (h *Header) Finished(p Place) error {
	r, err := h.judge(p)
	if err == nil && r != nil {
		err = fmt.Errorf("a conversion of the volume is not finished")
	}
	return err
}

// judge demands what must hold whatever the header is used for.
func (h *Header) judge(p Place) (*Reencryption, error) {
	if err := h.checkNames(); err != nil {
		return nil, err
	}
	if h.meta.config.pending() == "" {
		return nil, h.checkFinished(p)
	}
	return h.checkPending(p)
}

// checkNames refuses texts that would get into a kernel's table or a path without being
// what they should be, and ciphers that do not encrypt.
func (h *Header) checkNames() error {
	if _, err := uuid.Parse(h.UUID); err != nil || len(h.UUID) != len(uuid.UUID{}.String()) {
		return fmt.Errorf("its UUID %.40q is no UUID", h.UUID)
	}
	for _, s := range h.meta.segments {
		if s.Type != "crypt" {
			continue
		}
		if err := checkCipherName("segment", s.ID, s.Encryption); err != nil {
			return err
		}
	}
	for _, s := range h.meta.keyslots {
		if s.Type != "luks2" {
			continue
		}
		if err := checkCipherName("keyslot", s.ID, s.AreaEncryption); err != nil {
			return err
		}
	}
	return nil
}

// checkFinished refuses a volume that says nothing of a conversion and is not one
// encrypted segment. cryptsetup too would open as finished what is plain beside it.
func (h *Header) checkFinished(p Place) error {
	for _, s := range h.meta.segments {
		if s.Type == "linear" {
			return fmt.Errorf("segment %d is not encrypted, and no requirement tells of a conversion", s.ID)
		}
	}
	if n := len(h.meta.segments); n != 1 {
		return fmt.Errorf("the header has %d segments, and a finished volume has one", n)
	}
	s := h.meta.segments[0]
	if s.hot() {
		return fmt.Errorf("segment %d is being rewritten, and no requirement tells of a conversion", s.ID)
	}
	return h.checkPlace(s, p)
}

// sectorSizes are those that dm-crypt has, in bytes.
var sectorSizes = []int{512, 1024, 2048, 4096}

// checkPlace refuses data that is not on its device, or over the header.
func (h *Header) checkPlace(s Segment, p Place) error {
	keyslots := h.keyslotsArea().end()
	switch room := p.Size - s.Offset; {
	case s.Type == "crypt" && !slices.Contains(sectorSizes, s.SectorSize):
		return fmt.Errorf("segment %d has sectors of %d bytes, not of 512, 1024, 2048 or 4096", s.ID, s.SectorSize)
	case s.Type == "crypt" && len(h.digestsOf(s.ID)) != 1:
		return fmt.Errorf("segment %d is in the digests %v, not in one", s.ID, h.digestsOf(s.ID))
	case p.Detached && room <= 0, s.Offset > p.Size:
		return fmt.Errorf("the data begins at byte %d, behind the device's end at %d", s.Offset, p.Size)
	case !p.Detached && s.Offset == 0:
		return fmt.Errorf("the data begins at byte 0, where the header is")
	case !p.Detached && s.Offset < keyslots:
		return fmt.Errorf("the data begins at byte %d, inside the keyslots that end at %d", s.Offset, keyslots)
	case s.Size == Dynamic && room < int64(max(s.SectorSize, 512)):
		return unsupportedf("the data begins at byte %d, and the device ends at %d", s.Offset, p.Size)
	case s.Size != Dynamic && s.Size > room:
		return fmt.Errorf("segment %d, %d bytes at %d, reaches beyond the device's end at %d", s.ID, s.Size, s.Offset, p.Size)
	}
	return nil
}

// checkPending judges a volume in conversion: where it will be in the end, that its
// record is one, and the data as far as the conversion got.
func (h *Header) checkPending(p Place) (*Reencryption, error) {
	r, err := h.Reencryption(h.VolumeEnd(p.Size))
	if err != nil {
		return nil, err
	}
	if d := h.digestsOfKeyslot(r.KeyslotID); len(d) != 1 || len(d[0].keyslots) != 1 || len(d[0].segments) > 0 {
		return nil, fmt.Errorf("re-encryption metadata: keyslot %d is in %d digests, not alone in one", r.KeyslotID, len(d))
	}
	if r.Previous.Type == "linear" && r.oldDigest != none {
		return nil, fmt.Errorf("re-encryption metadata: what was plain is in the digest %d", r.oldDigest)
	}
	if final := r.Final; final.Type == "crypt" && r.Mode != "decrypt" {
		if err := h.checkPlace(final, p); err != nil {
			return nil, fmt.Errorf("re-encryption metadata: %w", err)
		}
	}
	return r, nil
}

// unprotected reports whether all that is missing to go on with a conversion is what
// tells the old bytes of a hot zone from the new ones. See Protect.
func (r *Reencryption) unprotected() bool {
	protected := *r
	protected.Resilience = "journal"
	return r.Resilience == "none" && protected.unsupported() == ""
}

// supported refuses what is sound and not done here.
func (a *Activation) supported() error {
	h := a.header
	for _, r := range h.meta.config.requirements {
		if !tellsReencryption(r) {
			return unsupportedf("the volume requires %.60q, which is not supported", r)
		}
	}
	for _, s := range h.meta.segments {
		switch {
		case s.Integrity:
			return unsupportedf("segment %d has integrity tags, which are not supported", s.ID)
		case s.Type == "crypt" && !slices.Contains(ciphers, s.Encryption):
			return unsupportedf("segment %d is under the cipher %.40q, which is not supported", s.ID, s.Encryption)
		case s.Type != "crypt" && s.Type != "linear":
			return unsupportedf("segment %d is of the type %.40q, which is not supported", s.ID, s.Type)
		}
	}
	if r := a.Reencryption; r != nil && r.Unsupported != "" && !r.unprotected() {
		return unsupportedf("its conversion was begun by another tool in a form that cannot be continued here: %s", r.Unsupported)
	}
	return nil
}

// NeedsPrevious reports whether Verify wants the key of the data's old form.
func (a *Activation) NeedsPrevious() bool {
	r := a.Reencryption
	return r != nil && r.oldDigest != none
}

// Verify demands that the keys vouch for what is to be used: the final key is that of the
// data's digest, and the digest over the record of a conversion is of this record and
// these keys. previous is nil where NeedsPrevious does not hold.
//
// It may be nil, too, where all data is converted: the keyslots of the old key go one by
// one then, and with the last of them the digest can be computed no more. What is left
// is one segment under the final key, as in a finished volume. The error is then nil and
// settled false: nothing says whose the keyslots are that the record calls old.
func (a *Activation) Verify(ctx context.Context, previous, final []byte) (settled bool, err error) {
	if err := a.header.VerifyKey(ctx, final); err != nil {
		return false, err
	}
	r := a.Reencryption
	if r == nil {
		return true, nil
	}
	if a.NeedsPrevious() && previous == nil {
		if r.State != Unfinished {
			return false, fmt.Errorf("re-encryption metadata: it cannot be verified without the key of the old data")
		}
		return false, nil
	}
	return true, a.header.VerifyReencryption(ctx, previous, final)
}

// VolumeEnd is where the last whole sector of the volume ends on a device of size bytes.
func (h *Header) VolumeEnd(size int64) int64 {
	unit := int64(max(h.SectorSize(), 512))
	for _, s := range h.Segments() {
		unit = max(unit, int64(s.SectorSize))
	}
	if size <= h.DataOffset() {
		return size
	}
	return size - (size-h.DataOffset())%unit
}

// digestsOf returns the ids of the digests that list a segment.
func (h *Header) digestsOf(segment int) (ids []int) {
	for _, d := range h.meta.digests {
		if slices.Contains(d.segments, segment) {
			ids = append(ids, d.id)
		}
	}
	return ids
}

// digestsOfKeyslot returns the digests that list a keyslot.
func (h *Header) digestsOfKeyslot(id int) (all []digest) {
	for _, d := range h.meta.digests {
		if slices.Contains(d.keyslots, id) {
			all = append(all, d)
		}
	}
	return all
}
