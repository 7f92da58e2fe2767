package luks2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDigestString bounds the texts that the re-encryption digest covers.
const maxDigestString = 64

// ErrReencryption means that re-encryption metadata was tampered with, or is not for
// the keys at hand.
var ErrReencryption = errors.New("re-encryption metadata does not match its digest")

// VerifyReencryption checks the digest over the re-encryption metadata, without which
// whoever can write to the device could make a conversion reveal plaintext. Call it
// before going on. oldKey may be nil where plaintext is encrypted. It returns
// ErrReencryption where they do not match. Progress is not covered.
func (h *Header) VerifyReencryption(ctx context.Context, oldKey, newKey []byte) error {
	r, err := h.pendingReencryption(h.meta.config.pending())
	if err != nil {
		return fmt.Errorf("re-encryption metadata: %w", err)
	}
	d, ok := h.digestOfKeyslot(r.KeyslotID)
	if !ok {
		return fmt.Errorf("re-encryption metadata: there is no digest of it")
	}
	input, err := r.digestInput(oldKey, newKey)
	if err != nil {
		return err
	}
	defer clear(input)
	ctx = h.Budgeted(ctx)
	if err := d.verify(ctx, input); errors.Is(err, ErrWrongKey) {
		return ErrReencryption
	} else if err != nil {
		return err
	}
	return nil
}

// digestInput returns what the digest is over: version, keys, keyslot, backup
// segments. Numbers are big-endian, texts have no end mark.
func (r *Reencryption) digestInput(oldKey, newKey []byte) ([]byte, error) {
	for _, s := range []string{r.Hash, r.Previous.Encryption, r.Final.Encryption} {
		if len(s) > maxDigestString {
			return nil, fmt.Errorf("re-encryption metadata: %.70q is too long", s)
		}
	}
	b := append(make([]byte, 0, 2048), 'v', r.version) // room for all: no copy of the keys is left behind
	if r.oldDigest != none {
		b = append(b, oldKey...)
	}
	if r.newDigest != none && r.newDigest != r.oldDigest {
		b = append(b, newKey...)
	}
	b = append(b, r.Mode+r.Direction+r.Resilience...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.AreaOffset))
	b = binary.BigEndian.AppendUint64(b, uint64(r.AreaSize))
	if r.ChecksumSectorSize > 0 {
		b = binary.BigEndian.AppendUint32(append(b, r.Hash...), uint32(r.ChecksumSectorSize))
	}
	if r.Shift > 0 {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Shift))
	}
	for _, s := range []Segment{r.Previous, r.Final, r.Moved} {
		b = s.appendDigest(b)
	}
	return b, nil
}

// appendDigest appends a segment as the digest covers it.
func (s Segment) appendDigest(b []byte) []byte {
	if s.Type == "" {
		return b
	}
	b = binary.BigEndian.AppendUint64(append(b, s.Type...), uint64(s.Offset))
	if s.Size == Dynamic {
		b = append(b, "dynamic"...)
	} else {
		b = binary.BigEndian.AppendUint64(b, uint64(s.Size))
	}
	if s.Type == "crypt" {
		b = binary.BigEndian.AppendUint64(b, s.IVTweak)
		b = binary.BigEndian.AppendUint32(append(b, s.Encryption...), uint32(s.SectorSize))
	}
	return b
}
