package luks2

import (
	"fmt"
	"slices"
)

// continuable returns the pending conversion for a change of its progress.
func (h *Header) continuable() (*Reencryption, error) {
	if h.deviceSize == 0 {
		return nil, fmt.Errorf("the size of the device is not known: call Reencryption first")
	}
	r, err := h.Reencryption(h.deviceSize)
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return nil, fmt.Errorf("no re-encryption is pending")
	case r.Unsupported != "":
		return nil, fmt.Errorf("re-encryption: %s", r.Unsupported)
	}
	return r, nil
}

// MaxZone returns the greatest length of a hot zone, in bytes: what can be redone
// after a power cut.
func (r *Reencryption) MaxZone() int64 {
	limit := r.AreaSize
	switch r.Resilience {
	case "datashift":
		limit = r.Shift
	case "checksum":
		newHash, err := newHash(r.Hash)
		if err != nil {
			return 0
		}
		limit = r.AreaSize / int64(newHash().Size()) * int64(r.ChecksumSectorSize)
	}
	return limit / r.unit() * r.unit()
}

// MarkHot declares the zone that is to be rewritten next, in logical bytes. After
// Commit the zone may be written. It must be next to what is converted: at the end of
// the old data when that shrinks from its end (backward), at its beginning else.
//
// Where the first bytes were moved, the zone before the last must end at Shift, and
// the last is [0, Shift): a recovery reads the moved copy for that zone only.
// With the resilience "checksum" or "journal" SaveZone comes first.
func (h *Header) MarkHot(offset, length int64) error {
	r, err := h.continuable()
	if err != nil {
		return err
	}
	if err := r.checkZone(offset, length); err != nil {
		return fmt.Errorf("hot zone of %d bytes at %d: %w", length, offset, err)
	}
	return h.setProgress(r, r.Remaining-length, length)
}

// checkZone decides whether a zone can be redone, and comes next.
func (r *Reencryption) checkZone(offset, length int64) error {
	switch limit := r.MaxZone(); {
	case r.State != Clean:
		return fmt.Errorf("the volume is in the state %s", r.State)
	case length <= 0 || length > limit || length > r.Remaining:
		return fmt.Errorf("its length is not from 1 to %d, of %d that remain", limit, r.Remaining)
	case offset%r.unit() != 0 || length%r.unit() != 0:
		return fmt.Errorf("not aligned to %d", r.unit())
	case !r.shifts() && offset != r.DataSize-r.Remaining:
		return fmt.Errorf("the next zone begins at %d", r.DataSize-r.Remaining)
	case r.shifts() && offset != r.Remaining-length:
		return fmt.Errorf("the next zone ends at %d", r.Remaining)
	case r.shifts() && offset < r.Shift && (offset != 0 || length != r.Shift):
		return fmt.Errorf("the zone that the moved copy is for is [0, %d)", r.Shift)
	}
	return nil
}

// MarkDone declares the hot zone as converted. It refuses the last zone: the header
// with all data converted and the conversion still pending must never be on disk,
// since cryptsetup would encrypt a volume that was converted forward again, and could
// not finish the other kind. Call Finish instead.
func (h *Header) MarkDone() error {
	r, err := h.continuable()
	switch {
	case err != nil:
		return err
	case r.State != Crash:
		return fmt.Errorf("no zone is hot")
	case r.Remaining == 0:
		return fmt.Errorf("the last zone is done by Finish")
	}
	return h.setProgress(r, r.Remaining, 0)
}

// Skip declares the next length logical bytes as converted without rewriting them,
// because nobody needs what is there: free space of a file system. Their content is
// rubbish from then on. Something must be left for a last hot zone, and where the
// first bytes were moved, those.
func (h *Header) Skip(length int64) error {
	r, err := h.continuable()
	if err != nil {
		return err
	}
	least := r.unit()
	if r.shifts() {
		least = r.Shift
	}
	switch {
	case r.State != Clean:
		return fmt.Errorf("skip %d bytes: the volume is in the state %s", length, r.State)
	case length <= 0 || length%r.unit() != 0 || length > r.Remaining-least:
		return fmt.Errorf("skip %d bytes: not from %d to %d, aligned to %d", length, r.unit(), r.Remaining-least, r.unit())
	}
	return h.setProgress(r, r.Remaining-length, 0)
}

// FinishOptions say what the finished volume is like.
type FinishOptions struct {
	// DataSize fixes the size of the data in bytes, so that nothing grows over a
	// moved copy that is still to be wiped: see SetDynamicSize. 0: to the device's end.
	DataSize int64
	// KeepPrevious leaves the keyslots of the old key, as those of a key that no data is
	// under: where nothing proves whose they are. See Activation.Verify.
	KeepPrevious bool
}

// Finish makes the header of the converted volume: after the last zone was marked hot
// and written, or where Reencryption says Unfinished. The keyslots of the old key go,
// also from the tokens, and the keyslots area gets all the room there is. Commit it,
// then call WipeRemoved. Only after that Commit may the moved copy be wiped: before,
// it is what a recovery would read.
func (h *Header) Finish(o FinishOptions) error {
	r, err := h.continuable()
	if err != nil {
		return err
	}
	if r.Remaining > 0 || r.State == Clean {
		return fmt.Errorf("the re-encryption has %d bytes to go", r.Remaining)
	}
	final := r.Final.part(0, Dynamic)
	if o.DataSize != 0 {
		if final.Size = o.DataSize; o.DataSize < r.DataSize || o.DataSize > h.deviceSize-final.Offset {
			return fmt.Errorf("a data size of %d bytes is less than the data or more than the device", o.DataSize)
		}
	}
	t := h.tree.clone()
	t.setSegments([]piece{{final, false, true}}, r.oldDigest, r.newDigest)
	return h.finish(t, r, o.KeepPrevious)
}

// finish drops what only the conversion needed.
func (h *Header) finish(t *tree, r *Reencryption, keep bool) error {
	var gone []Keyslot
	for _, s := range h.meta.keyslots {
		if s.ID == r.KeyslotID || (!keep && r.oldDigest != none && h.inDigest(r.oldDigest, s.ID)) {
			gone = append(gone, s)
			if err := t.dropKeyslot(s.ID); err != nil {
				return err
			}
		}
	}
	requirements := slices.DeleteFunc(h.Requirements(), func(s string) bool { return s == h.meta.config.pending() })
	if err := t.setRequirements(requirements); err != nil {
		return err
	}
	if size := attachedKeyslotsSize(h.HeaderSize, r.DataOffset); size > h.meta.config.keyslotsSize {
		t.config = t.config.with("keyslots_size", jsonSize(size))
	}
	return h.adoptWithout(t, gone)
}

// inDigest reports whether a digest lists a keyslot.
func (h *Header) inDigest(digestID, keyslot int) bool {
	return slices.ContainsFunc(h.meta.digests, func(d digest) bool {
		return d.id == digestID && slices.Contains(d.keyslots, keyslot)
	})
}
