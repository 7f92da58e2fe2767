package tpm2

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// PCRValues returns the values that the PCRs of a token had at sealing, by number; nil
// where the token does not say, or says what its policy was not made of.
func (tok Token) PCRValues() map[int][]byte {
	b, err := bankNamed(tok.Bank)
	if err != nil {
		return nil
	}
	want := terms{bank: b, pcrs: tok.PCRs}
	if tok.PIN {
		want.auth = []byte{} // the policy says that there is one, not which
	}
	return tok.notedValues(want)
}

// SignerFingerprint names the key that signs the PCR policies of a token as the signature
// files do ("pkfp"): the SHA-256 of its PKCS#1 DER, in hex. It is "" where there is none.
func (tok Token) SignerFingerprint() (string, error) {
	if len(tok.PublicKey) == 0 {
		return "", nil
	}
	block, _ := pem.Decode(tok.PublicKey)
	if block == nil {
		return "", errors.New("tpm2_pubkey is no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("tpm2_pubkey: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return "", fmt.Errorf("tpm2_pubkey is a %T, and policies are signed by RSA keys", parsed)
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
	return hex.EncodeToString(sum[:]), nil
}
