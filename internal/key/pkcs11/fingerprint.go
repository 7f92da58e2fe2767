package pkcs11

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
)

// fingerprint names a public key: the SHA-256 of its SubjectPublicKeyInfo, in hex.
func fingerprint(public any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// terms are what a token must meet beside its URI.
type terms struct {
	// sums are fingerprints, one of which its key must have. Where there are none, the URI
	// must fit one key only.
	sums []string
	// named is set where it is the definition that says so, and not only what stands on a
	// disk.
	named bool
	// fixed: only a slot will do that holds nothing removable.
	fixed bool
	// hidden: a token that shows no public key before it has the PIN may get it. What it
	// shows then is compared all the same.
	hidden bool
}

// toSeal returns what the token of a key that is to be enrolled must meet.
func (s *Sealer) toSeal(where place, key definitions.Key) (terms, error) {
	t := terms{named: key.KeySHA256 != "", fixed: s.Unseen && key.Provision, hidden: !s.Unseen}
	if t.named {
		t.sums = []string{key.KeySHA256}
	}
	if s.Unseen && !t.named && !t.fixed {
		return t, where.fail(ErrUnnamed, "")
	}
	return t, nil
}

// toOpen returns what the token must meet that is asked to open what a header holds. In a
// boot the definition decides, for whoever has the disk can write another fingerprint into
// its header; else the header's own chooses.
func (s *Sealer) toOpen(where place, key definitions.Key, inHeader string) terms {
	t := terms{hidden: !s.Unseen}
	for _, k := range append([]definitions.Key{key}, s.known...) {
		if k.KeySHA256 != "" && (k.URI == where.uri || k.URI == "") && !slices.Contains(t.sums, k.KeySHA256) {
			t.sums, t.named = append(t.sums, k.KeySHA256), true
		}
		t.fixed = t.fixed || s.Unseen && k.Provision && k.URI == where.uri
	}
	switch {
	case t.named:
		t.fixed = false
		if inHeader != "" && (!s.Unseen || slices.Contains(t.sums, inHeader)) {
			t.sums = []string{inHeader}
		}
	case inHeader != "":
		t.sums = []string{inHeader}
	}
	return t
}

// Fingerprint returns that of the key that a LUKS2 token is bound to, "" where the token
// does not say: systemd's tools note none. Nothing vouches for it.
func Fingerprint(raw []byte) string {
	var t token
	if json.Unmarshal(raw, &t) != nil || t.Type != tokenType {
		return ""
	}
	if sum, err := hex.DecodeString(t.Fingerprint); err != nil || len(sum) != sha256.Size {
		return ""
	}
	return strings.ToLower(t.Fingerprint)
}
