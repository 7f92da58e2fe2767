package pkcs11

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
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
	return t.Fingerprint
}
