package luks2

import (
	"fmt"
	"io"
	"slices"
)

// removedSlot is a keyslot that is gone from the metadata and not from the device.
type removedSlot struct {
	id        int
	area      span
	committed bool // no header on disk lists it any more
}

// RemoveKeyslot takes a keyslot out of the header, commits that, and only then
// overwrites what the slot held: a power cut leaves the slot whole and listed, or not
// listed and perhaps still there. The id leaves every token; a token stays, if with
// no slot. The last slot of the data's key is refused, and so is the record of a
// re-encryption.
func (h *Header) RemoveKeyslot(d Device, id int, rnd io.Reader) error {
	if err := h.DropKeyslot(id); err != nil {
		return err
	}
	if err := h.Commit(d); err != nil {
		return err
	}
	return h.WipeRemoved(d, rnd)
}

// DropKeyslot is the part of RemoveKeyslot in memory, for changes that are to be
// committed together. Call WipeRemoved after that Commit.
func (h *Header) DropKeyslot(id int) error {
	s, ok := h.keyslot(id)
	if !ok {
		return fmt.Errorf("there is no keyslot %d", id)
	}
	if s.Type == "reencrypt" {
		return fmt.Errorf("keyslot %d records a re-encryption: without it the data is lost", id)
	}
	if d, ok := h.digestOfKeyslot(id); ok && len(d.segments) > 0 && len(d.keyslots) == 1 {
		return fmt.Errorf("keyslot %d is the last one that opens the volume", id)
	}
	t := h.tree.clone()
	if err := t.dropKeyslot(id); err != nil {
		return err
	}
	return h.adoptWithout(t, []Keyslot{s})
}

// adoptWithout adopts t, in which these keyslots are gone, and remembers what is to
// be wiped.
func (h *Header) adoptWithout(t *tree, gone []Keyslot) error {
	if err := h.adopt(t); err != nil {
		return err
	}
	for _, s := range gone {
		h.removed = append(h.removed, removedSlot{s.ID, span{s.AreaOffset, s.AreaSize}, h.fresh})
	}
	return nil
}

// dropKeyslot removes a keyslot and every mention of it. A digest that is left for
// nothing goes too.
func (t *tree) dropKeyslot(id int) error {
	delete(t.keyslots, id)
	for _, in := range []table{t.tokens, t.digests} {
		if err := in.unlink("keyslots", id); err != nil {
			return err
		}
	}
	for _, d := range t.digests.ids() {
		var err error
		f := fieldsOf("digest", d, t.digests, &err)
		if len(f.ids("keyslots"))+len(f.ids("segments")) == 0 && err == nil {
			delete(t.digests, d)
		}
	}
	return nil
}

// WipeRemoved overwrites the areas of the keyslots that were removed, by DropKeyslot
// or by Finish, with random bytes. It refuses before a Commit: the header on disk
// would list destroyed slots. A power cut leaves areas that nothing mentions, wiped
// in part.
func (h *Header) WipeRemoved(d Device, rnd io.Reader) error {
	if i := slices.IndexFunc(h.removed, func(r removedSlot) bool { return !r.committed }); i >= 0 {
		return fmt.Errorf("keyslot %d must not be wiped before its removal is committed", h.removed[i].id)
	}
	for len(h.removed) > 0 {
		if err := overwrite(d, h.removed[0].area, rnd); err != nil {
			return fmt.Errorf("wipe keyslot %d: %w", h.removed[0].id, err)
		}
		h.removed = h.removed[1:]
	}
	return nil
}
