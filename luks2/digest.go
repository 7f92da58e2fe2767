package luks2

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Digests are made like this: a volume key is as long as the cipher's key, so there
// is nothing to slow down.
const (
	digestHash       = "sha256"
	digestIterations = 1000
	saltSize         = 32
)

// digest proves that a volume key is the right one, and says for which keyslots and
// segments it is. digest = PBKDF2(volume key, salt), as long as its hash.
type digest struct {
	id                 int
	kind               string
	keyslots, segments []int
	hash               string
	iterations         int
	salt, value        []byte
	broken             error // why no key can be verified by it
}

func parseDigest(id int, f fields) digest {
	d := digest{id: id, kind: f.word("type"), keyslots: f.ids("keyslots"), segments: f.ids("segments")}
	if d.kind == "pbkdf2" {
		own := f.lenient(&d.broken)
		d.hash, d.iterations = own.text("hash"), own.number("iterations")
		d.salt, d.value = own.bytes("salt", 64), own.bytes("digest", 64)
	}
	return d
}

// luks1DigestSize is the length of a digest that "cryptsetup convert" took over from
// LUKS1, whatever its hash.
const luks1DigestSize = 20

// checkLength refuses a digest that is not as long as its hash: a shorter one is
// matched by a forgery after few tries. Of a volume that was a LUKS1 volume once, the
// key's digest is shorter, and long enough still.
func (d digest) checkLength() error {
	newHash, err := newHash(d.hash)
	if err != nil {
		return err
	}
	if n := newHash().Size(); len(d.value) != n && (len(d.value) != luks1DigestSize || len(d.segments) == 0) {
		return fmt.Errorf("it has %d bytes, and %s has %d", len(d.value), d.hash, n)
	}
	if len(d.salt) != saltSize {
		return fmt.Errorf("its salt has %d bytes, not %d", len(d.salt), saltSize)
	}
	return nil
}

// newDigest makes the digest object of a key.
func newDigest(key []byte, keyslots, segments []int, rnd io.Reader) (object, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(rnd, salt); err != nil {
		return nil, fmt.Errorf("random salt: %w", err)
	}
	value, err := pbkdf2Key(context.Background(), digestHash, key, salt, digestIterations, saltSize)
	if err != nil {
		return nil, err
	}
	return object{
		{"type", jsonString("pbkdf2")}, {"keyslots", jsonIDs(keyslots)}, {"segments", jsonIDs(segments)},
		{"hash", jsonString(digestHash)}, {"iterations", jsonInt(digestIterations)},
		{"salt", jsonBytes(salt)}, {"digest", jsonBytes(value)},
	}, nil
}

// usable returns why no key can be verified by the digest, whatever it is: another tool made it
// with a hash that is not supported, or it is not sound.
func (d digest) usable() error {
	if d.kind != "pbkdf2" {
		return fmt.Errorf("digest %d: type %.40q is not known", d.id, d.kind)
	}
	if d.broken != nil {
		return d.broken
	}
	if err := d.checkLength(); err != nil {
		return fmt.Errorf("digest %d: %w", d.id, err)
	}
	return nil
}

// verify returns ErrWrongKey where key is not the one of the digest.
func (d digest) verify(ctx context.Context, key []byte) error {
	if err := d.usable(); err != nil {
		return err
	}
	value, err := pbkdf2Key(ctx, d.hash, key, d.salt, d.iterations, len(d.value))
	if err != nil {
		return fmt.Errorf("digest %d: %w", d.id, err)
	}
	if subtle.ConstantTimeCompare(value, d.value) != 1 {
		return ErrWrongKey
	}
	return nil
}

// digestOf returns the digest that lists a segment. A hot segment is listed by two:
// see conversion.
func (h *Header) digestOf(segment int) (digest, bool) {
	return findDigest(h.meta.digests, func(d digest) bool { return slices.Contains(d.segments, segment) })
}

// digestOfKeyslot returns the digest that lists a keyslot.
func (h *Header) digestOfKeyslot(keyslot int) (digest, bool) {
	return findDigest(h.meta.digests, func(d digest) bool { return slices.Contains(d.keyslots, keyslot) })
}

func findDigest(all []digest, is func(digest) bool) (digest, bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	return digest{id: none}, false
}

// none stands where an id would.
const none = -1

// VerifyKey returns ErrWrongKey where volumeKey is not the key of the volume's data;
// while it is converted, of its data afterwards.
func (h *Header) VerifyKey(ctx context.Context, volumeKey []byte) error {
	d, ok := h.digestOf(h.dataSegment().ID)
	if !ok {
		return fmt.Errorf("the volume's data has no digest to verify a key with")
	}
	ctx = h.Budgeted(ctx)
	return d.verify(ctx, volumeKey)
}

// digestForKey returns the digest of a key that keyslots may be added to: one that
// has segments, or keyslots of its own that are no re-encryption slot.
func (h *Header) digestForKey(ctx context.Context, key []byte) (digest, bool, error) {
	ctx = h.Budgeted(ctx)
	for _, d := range h.meta.digests {
		if d.kind != "pbkdf2" || h.isReencryptDigest(d) {
			continue
		}
		switch err := d.verify(ctx, key); {
		case err == nil:
			return d, true, nil
		case errors.Is(err, ErrWrongKey):
		default:
			return digest{}, false, err
		}
	}
	return digest{id: none}, false, nil
}

// isReencryptDigest reports whether d covers re-encryption metadata instead of a key.
func (h *Header) isReencryptDigest(d digest) bool {
	slot, ok := h.reencryptKeyslot()
	return ok && bytes.Equal(jsonIDs(d.keyslots), jsonIDs([]int{slot.ID}))
}
