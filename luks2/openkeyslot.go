package luks2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// OpenKeyslot returns the volume key of one keyslot, whatever its priority. The
// caller erases it. The error is ErrWrongPassphrase where the passphrase is wrong.
func (h *Header) OpenKeyslot(ctx context.Context, r io.ReaderAt, id int, passphrase []byte) ([]byte, error) {
	s, ok := h.keyslot(id)
	if !ok {
		return nil, fmt.Errorf("there is no keyslot %d", id)
	}
	if s.Type != "luks2" {
		return nil, fmt.Errorf("keyslot %d has the type %.40q and opens nothing", id, s.Type)
	}
	owner, ok := h.digestOfKeyslot(id)
	if !ok {
		return nil, fmt.Errorf("keyslot %d is in no digest, so no key can be verified", id)
	}
	ctx = h.Budgeted(ctx)
	key, err := s.load(ctx, r, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open keyslot %d: %w", id, err)
	}
	if err := owner.verify(ctx, key); err != nil {
		clear(key)
		if errors.Is(err, ErrWrongKey) {
			err = ErrWrongPassphrase
		}
		return nil, fmt.Errorf("open keyslot %d: %w", id, err)
	}
	return key, nil
}

// Unreadable says why nothing here can open a keyslot, whatever the passphrase: another tool made
// it with a hash or cipher that is not supported. It is "" where a passphrase can be tried.
func (s Keyslot) Unreadable() string {
	_, afErr := newHash(s.AFHash)
	var kdfErr error
	if s.KDF.Type == "pbkdf2" {
		_, kdfErr = newHash(s.KDF.Hash)
	}
	switch {
	case s.Type != "luks2":
		return fmt.Sprintf("it is of the type %.40q", s.Type)
	case s.broken != nil:
		return s.broken.Error()
	case kdfErr != nil:
		return kdfErr.Error()
	case !slices.Contains([]string{"pbkdf2", "argon2i", "argon2id"}, s.KDF.Type):
		return fmt.Sprintf("kdf %.40q is not known", s.KDF.Type)
	case afErr != nil:
		return afErr.Error()
	case s.AreaEncryption != areaEncryption:
		return fmt.Sprintf("its cipher %.40q is not supported, only %s is", s.AreaEncryption, areaEncryption)
	case s.unverifiable != nil:
		return "its key cannot be verified: " + s.unverifiable.Error()
	}
	return ""
}

// load decrypts the area and merges what it holds; a wrong passphrase gives a wrong
// key.
func (s Keyslot) load(ctx context.Context, r io.ReaderAt, passphrase []byte) ([]byte, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	size := materialSize(s.KeySize)
	if size > s.AreaSize {
		return nil, fmt.Errorf("its area of %d bytes is too small for %d", s.AreaSize, size)
	}
	areaKey, err := s.KDF.Derive(ctx, passphrase, s.salt, s.AreaKeySize)
	if err != nil {
		return nil, err
	}
	defer clear(areaKey)
	c, wipe, err := areaCipher(s.AreaEncryption, areaKey)
	if err != nil {
		return nil, err
	}
	defer wipe()
	material := make([]byte, size)
	defer clear(material)
	if err := readFull(r, material, s.AreaOffset); err != nil {
		return nil, err
	}
	decryptArea(c, material)
	return merge(material[:s.KeySize*stripes], s.KeySize, s.AFHash)
}

// Open tries the passphrase on the keyslots of the volume's data and returns the key
// and the slot that gave it. During a re-encryption the slots of the final key come
// first, then those of the previous one: ask Keyslots which it is. Inside that the
// order is priority, then id; slots to ignore are left out.
//
// The error wraps ErrWrongPassphrase where every slot could be tried; a slot that
// could not be says so only if no other one opens.
func (h *Header) Open(ctx context.Context, r io.ReaderAt, passphrase []byte) (key []byte, slot int, err error) {
	var broken error
	for _, s := range h.candidates() {
		key, err := h.OpenKeyslot(ctx, r, s.ID, passphrase)
		if err == nil {
			return key, s.ID, nil
		}
		if !errors.Is(err, ErrWrongPassphrase) {
			broken = errors.Join(broken, err)
		}
	}
	if broken != nil {
		return nil, none, broken
	}
	return nil, none, ErrWrongPassphrase
}

// candidates returns the keyslots that Open tries, in order.
func (h *Header) candidates() []Keyslot {
	slots := slices.DeleteFunc(h.Keyslots(), func(s Keyslot) bool {
		return s.Type != "luks2" || s.Holds == HoldsOther || s.Priority == PriorityIgnore
	})
	slices.SortStableFunc(slots, func(a, b Keyslot) int {
		if a.Holds != b.Holds {
			if a.Holds == HoldsFinal {
				return -1
			}
			return 1
		}
		return b.Priority - a.Priority
	})
	return slots
}
