package definitions

import (
	"regexp"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// KeySecure is the type of the [[encryption.key]] that takes no keyslot: it says what the
// volume key is.
const KeySecure = "secure-key"

// The ciphers of data: the kernel's "paes" takes secure keys, all else clear ones.
const (
	CipherClear  = "aes-xts-plain64"
	CipherSecure = "paes-xts-plain64"
)

const (
	clearKeyBits = 512  // two AES-256 keys, for XTS
	maxKeyBits   = 8192 // of any volume key that is thought of
	maxAPQNs     = 256
)

// SecureKey says that a volume key is a secure key: one that a cryptographic adapter (IBM
// Crypto Express, s390x) made and encrypted by its master key, so that it is of use only
// where that adapter is.
type SecureKey struct {
	KeyType string `json:"key_type"` // zkey's name, "CCA-AESCIPHER"
	// APQNs are the adapters and domains whose master key it is under, "00.0035"; none
	// means all that are online.
	APQNs []string `json:"apqns,omitempty"`
	// Repository is the directory in which zkey keeps the key, "" for nowhere but in the
	// volume's header.
	Repository string `json:"repository,omitempty"`
}

// Bits is the length of the key, for XTS: of two tokens of the adapter, each of which
// holds an AES-256 key.
func (k SecureKey) Bits() int {
	if k.KeyType == "CCA-AESDATA" {
		return 2 * 64 * 8
	}
	return 2 * 136 * 8
}

// cipherOfKey returns the cipher that goes with the volume key.
func (e *Encryption) cipherOfKey() string {
	if e.SecureKey != nil {
		return CipherSecure
	}
	return CipherClear
}

// keyBits is how long the volume key is.
func (e *Encryption) keyBits() int {
	if e.SecureKey != nil {
		return e.SecureKey.Bits()
	}
	return clearKeyBits
}

// keyslotSize is what a keyslot takes of the header.
func (e *Encryption) keyslotSize() disk.Bytes {
	return (disk.Bytes(e.keyBits()/8) * stripes).RoundUp(4 * disk.KiB)
}

// apqnPattern is an adapter and a domain of it as in /sys/bus/ap/devices.
var apqnPattern = regexp.MustCompile(`^[0-9a-f]{2}\.[0-9a-f]{4}$`)

// secureKey builds the key of type secure-key that stands at a place; before is the one
// that stood before it.
func (b *builder) secureKey(at place, set settings, before *SecureKey) *SecureKey {
	b.checkFields(KeySecure, set)
	if before != nil {
		b.errors = append(b.errors, at.errorf("encryption.key", "this is the second key of type %q, and a volume has one volume key", KeySecure))
	}
	k := &SecureKey{KeyType: b.oneOf(set, "key_type", secureTypes, secureTypes.ready[0])}
	apqns, s, _ := value[[]string](set, "apqns")
	for i, apqn := range apqns {
		switch {
		case !apqnPattern.MatchString(apqn):
			b.failItem(s, i, `has %q: want an adapter and a domain as lszcrypt shows them, such as "00.0035"`, apqn)
		case slices.Contains(apqns[:i], apqn):
			b.failItem(s, i, "has %q twice", apqn)
		}
	}
	if len(apqns) > maxAPQNs {
		b.fail(s, "has %d entries, more than %d", len(apqns), maxAPQNs)
	}
	k.APQNs = apqns
	repository, s, ok := value[string](set, "repository")
	if err := checkPath(repository); ok && err != nil {
		b.fail(s, "%v", err)
	}
	k.Repository = repository
	return k
}
