package tpm2

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Values of TPM 2.0 Library Part 2 that occur in what tokens hold.
const (
	algSHA256       = 0x000b // TPM_ALG_SHA256, 6.3
	typeKeyedHash   = 0x0008 // TPM_ALG_KEYEDHASH
	handlePersist   = 0x81   // TPM_HT_PERSISTENT, 7.2
	handleNV        = 0x01   // TPM_HT_NV_INDEX
	resourceTypeKey = 1      // ESYS: the serialised object is a key
)

// sealedObject is one blob of a token: TPM2B_PRIVATE, TPM2B_PUBLIC, and for an
// object that was made without the TPM, TPM2B_ENCRYPTED_SECRET. The fields are
// without their sizes.
type sealedObject struct{ private, public, seed []byte }

// parseBlob takes a blob apart. It looks at sizes only.
func parseBlob(blob []byte) (sealedObject, error) {
	var o sealedObject
	r := reader{rest: blob}
	o.private = r.sized()
	o.public = r.sized()
	if len(r.rest) > 0 {
		o.seed = r.sized()
	}
	if r.short || len(r.rest) > 0 || len(o.private) == 0 || len(o.public) == 0 {
		return o, fmt.Errorf("sealed object of %d bytes is cut off or has bytes too many", len(blob))
	}
	return o, nil
}

func (o sealedObject) marshal() []byte {
	blob := binary.BigEndian.AppendUint16(nil, uint16(len(o.private)))
	blob = append(blob, o.private...)
	blob = binary.BigEndian.AppendUint16(blob, uint16(len(o.public)))
	blob = append(blob, o.public...)
	if len(o.seed) == 0 {
		return blob
	}
	blob = binary.BigEndian.AppendUint16(blob, uint16(len(o.seed)))
	return append(blob, o.seed...)
}

// authPolicy is the policy in the object's TPMT_PUBLIC, which must be that of a
// KEYEDHASH with SHA-256 names. Part 2, 12.2.4.
func (o sealedObject) authPolicy() ([]byte, error) {
	r := reader{rest: o.public}
	kind, nameAlg, _ := r.uint16(), r.uint16(), r.uint32()
	policy := r.sized()
	if r.short {
		return nil, errors.New("public area of the sealed object is cut off")
	}
	if kind != typeKeyedHash || nameAlg != algSHA256 {
		return nil, fmt.Errorf("sealed object of type %#x with name algorithm %#x: %w", kind, nameAlg, ErrUnsupported)
	}
	return policy, nil
}

// persistentKey is tpm2_srk: what ESYS wrote when it serialised a persistent key.
type persistentKey struct {
	handle uint32
	name   []byte // name algorithm (2 bytes), digest of public
	public []byte // TPMT_PUBLIC
}

// marshal writes a key as ESYS does. What is in it fits its sizes: it came from a TPM.
func (k persistentKey) marshal() []byte {
	esys := binary.BigEndian.AppendUint32(nil, k.handle)
	esys = binary.BigEndian.AppendUint16(esys, uint16(len(k.name)))
	esys = append(esys, k.name...)
	esys = binary.BigEndian.AppendUint32(esys, resourceTypeKey)
	esys = binary.BigEndian.AppendUint16(esys, uint16(len(k.public)))
	return append(esys, k.public...)
}

// parsePersistentKey checks that the name is the public area's, so that a TPM that
// has this public area has this key.
func parsePersistentKey(esys []byte) (persistentKey, error) {
	r := reader{rest: esys}
	k := persistentKey{handle: r.uint32(), name: r.sized()}
	resource := r.uint32()
	k.public = r.sized()
	switch {
	case r.short || len(r.rest) > 0:
		return k, fmt.Errorf("serialised key of %d bytes is cut off or has bytes too many", len(esys))
	case k.handle>>24 != handlePersist || resource != resourceTypeKey:
		return k, fmt.Errorf("serialised object %#x of kind %d is not a persistent key", k.handle, resource)
	}
	digest := sha256.Sum256(k.public)
	if !bytes.Equal(k.name, append(binary.BigEndian.AppendUint16(nil, algSHA256), digest[:]...)) {
		return k, fmt.Errorf("serialised key %#x: its name is not the SHA-256 name of its public area", k.handle)
	}
	return k, nil
}

// reader takes big-endian fields off the front. After the end all are empty, and
// short is set.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return make([]byte, min(n, 4))
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) sized() []byte  { return r.take(int(r.uint16())) }
