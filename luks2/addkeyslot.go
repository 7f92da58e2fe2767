package luks2

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// AddKeyslot makes a keyslot that opens volumeKey with passphrase, and returns its
// id. Its area is written and synced; the slot counts from the next Commit. A power
// cut in between leaves random bytes in a free place.
//
// The first keyslot of a fresh header decides which key the volume has. Later ones
// fail with ErrWrongKey for any other key; see AddUnboundKeyslot.
func (h *Header) AddKeyslot(ctx context.Context, d Device, volumeKey, passphrase []byte, k KDF, rnd io.Reader) (int, error) {
	owner, found, err := h.digestForKey(ctx, volumeKey)
	if err != nil {
		return 0, err
	}
	if found {
		return h.addKeyslot(ctx, d, volumeKey, passphrase, k, rnd, owner.id, nil)
	}
	data := h.dataSegment()
	if _, ok := h.digestOf(data.ID); ok || data.Type != "crypt" {
		return 0, fmt.Errorf("add a keyslot: %w", ErrWrongKey)
	}
	if len(volumeKey) != h.formatKeySize {
		return 0, fmt.Errorf("add a keyslot: the volume key has %d bytes, not %d", len(volumeKey), h.formatKeySize)
	}
	return h.addKeyslot(ctx, d, volumeKey, passphrase, k, rnd, none, []int{data.ID})
}

// AddUnboundKeyslot makes a keyslot for a key that no data uses yet: the new key of
// a BeginRekey. Keyslots of the same key share a digest. See AddKeyslot for the rest.
func (h *Header) AddUnboundKeyslot(ctx context.Context, d Device, key, passphrase []byte, k KDF, rnd io.Reader) (int, error) {
	if len(key) < 1 || len(key) > maxKeySize {
		return 0, fmt.Errorf("add a keyslot: a key of %d bytes is not possible", len(key))
	}
	owner, found, err := h.digestForKey(ctx, key)
	if err != nil {
		return 0, err
	}
	if found && len(owner.segments) > 0 {
		return 0, fmt.Errorf("add an unbound keyslot: the key is the volume's own")
	}
	return h.addKeyslot(ctx, d, key, passphrase, k, rnd, owner.id, nil)
}

// addKeyslot adds to the digest owner, or to a new one with these segments where
// owner is none.
func (h *Header) addKeyslot(ctx context.Context, d Device, key, passphrase []byte, k KDF, rnd io.Reader, owner int, segments []int) (int, error) {
	slot, err := h.planKeyslot(len(key), k, rnd)
	if err != nil {
		return 0, fmt.Errorf("add a keyslot: %w", err)
	}
	t := h.tree.clone()
	t.keyslots[slot.ID] = slot.encode()
	h.widen(t, span{slot.AreaOffset, slot.AreaSize})
	if err := t.enlist(slot.ID, owner, key, segments, rnd); err != nil {
		return 0, fmt.Errorf("add a keyslot: %w", err)
	}
	oldTree, oldMeta := h.tree, h.meta
	if err := h.adopt(t); err != nil {
		return 0, fmt.Errorf("add a keyslot: %w", err)
	}
	if err := slot.store(ctx, d, key, passphrase, rnd); err != nil {
		h.tree, h.meta = oldTree, oldMeta
		return 0, fmt.Errorf("write keyslot %d: %w", slot.ID, err)
	}
	return slot.ID, nil
}

// planKeyslot decides on id, place and parameters of a new keyslot.
func (h *Header) planKeyslot(keySize int, k KDF, rnd io.Reader) (Keyslot, error) {
	if err := k.check(); err != nil {
		return Keyslot{}, err
	}
	id, err := h.tree.keyslots.free("keyslot")
	if err != nil {
		return Keyslot{}, err
	}
	place, err := h.firstGap(KeyslotSize(keySize))
	if err != nil {
		return Keyslot{}, err
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(rnd, salt); err != nil {
		return Keyslot{}, fmt.Errorf("random salt: %w", err)
	}
	return Keyslot{
		ID: id, Type: "luks2", KeySize: keySize, KDF: k, salt: salt, AFHash: k.afHash(),
		AreaOffset: place.offset, AreaSize: place.size, AreaEncryption: areaEncryption, AreaKeySize: areaKeySize,
	}, nil
}

// enlist puts a keyslot on the list of its digest, making one if owner is none.
func (t *tree) enlist(slot, owner int, key []byte, segments []int, rnd io.Reader) error {
	if owner == none {
		id, err := t.digests.free("digest")
		if err != nil {
			return err
		}
		t.digests[id], err = newDigest(key, []int{slot}, segments, rnd)
		return err
	}
	var err error
	list := fieldsOf("digest", owner, t.digests, &err).ids("keyslots")
	list = append(list, slot)
	slices.Sort(list)
	t.digests[owner] = t.digests[owner].with("keyslots", jsonIDs(list))
	return err
}

// store writes the keyslot's area: the split key, encrypted by the passphrase, and
// random bytes to the area's end.
func (s Keyslot) store(ctx context.Context, d Device, key, passphrase []byte, rnd io.Reader) error {
	areaKey, err := s.KDF.Derive(ctx, passphrase, s.salt, s.AreaKeySize)
	if err != nil {
		return err
	}
	defer clear(areaKey)
	c, wipe, err := areaCipher(s.AreaEncryption, areaKey)
	if err != nil {
		return err
	}
	defer wipe()
	material, err := split(key, s.AFHash, rnd)
	if err != nil {
		return err
	}
	area := make([]byte, s.AreaSize)
	n := copy(area, material)
	clear(material)
	encryptArea(c, area[:roundUp(int64(n), areaSector)])
	if _, err := io.ReadFull(rnd, area[roundUp(int64(n), areaSector):]); err != nil {
		return fmt.Errorf("random bytes: %w", err)
	}
	if _, err := d.WriteAt(area, s.AreaOffset); err != nil {
		return err
	}
	return d.Sync()
}
