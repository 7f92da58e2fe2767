package pkcs11

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// tokenType is the LUKS2 token type that systemd-cryptsetup looks for.
const tokenType = disk.TokenPKCS11

// maxToken bounds the JSON of one token; the longest real one has some 3000 bytes.
const maxToken = 64 << 10

// How the secret is encrypted to an RSA key ("pkcs11-padding").
const (
	paddingV15        = "" // PKCS#1 v1.5; the field is absent
	paddingOAEPSHA1   = "oaep-sha1"
	paddingOAEPSHA256 = "oaep-sha256"
)

// token is the JSON of a systemd-pkcs11 token.
type token struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	URI      string   `json:"pkcs11-uri"`
	Key      []byte   `json:"pkcs11-key"` // RSA: the encrypted secret; EC: an uncompressed point
	Padding  string   `json:"pkcs11-padding,omitempty"`
	// Fingerprint is ours: it chooses among keys that the URI fits. systemd passes it over.
	Fingerprint string `json:"sealpart-key-sha256,omitempty"`
}

// parseToken reads a token of a header.
func parseToken(raw []byte) (token, place, error) {
	var t token
	if len(raw) > maxToken {
		return t, place{}, fmt.Errorf("token of type %s: %d bytes, at most %d", tokenType, len(raw), maxToken)
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return t, place{}, fmt.Errorf("token of type %s: %w", tokenType, err)
	}
	// A query may hold a PIN, or name a module of the choice of who wrote the disk.
	t.URI, _, _ = strings.Cut(t.URI, "?")
	where, err := parsePlace(t.URI)
	switch {
	case err != nil:
	case t.Type != tokenType:
		err = fmt.Errorf("type is %.40q", t.Type)
	case len(t.Key) == 0:
		err = fmt.Errorf("it has no pkcs11-key")
	case t.Padding != paddingV15 && t.Padding != paddingOAEPSHA1 && t.Padding != paddingOAEPSHA256:
		err = fmt.Errorf("pkcs11-padding is %.40q, which is not known", t.Padding)
	}
	if err != nil {
		return t, place{}, fmt.Errorf("token of type %s: %w", tokenType, err)
	}
	return t, where, nil
}
