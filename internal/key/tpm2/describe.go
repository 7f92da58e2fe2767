package tpm2

import "encoding/hex"

// PCRValues returns the values that the PCRs of a token had at sealing, by number; nil
// where the token does not say, or says what its policy was not made of. What depends on an
// NV index of the TPM cannot be checked here, and is nil as well.
func (tok Token) PCRValues() map[int][]byte {
	b, err := bankNamed(tok.Bank)
	if err != nil {
		return nil
	}
	want := terms{bank: b, pcrs: tok.PCRs}
	if tok.PIN {
		want.auth = []byte{} // the policy says that there is one, not which
	}
	switch {
	case len(tok.PublicKey) > 0:
		if want.signer, err = newSigner(tok.PublicKey, tok.PublicKeyPCRs, tok.PublicKeyRef); err != nil {
			return nil
		}
	case tok.PCRLock:
		return nil
	}
	return tok.notedValues(want, tok.PolicyHashes[0])
}

// SignerFingerprint names the key that signs the PCR policies of a token as the signature
// files do ("pkfp"): the SHA-256 of its PKCS#1 DER, in hex. It is "" where there is none.
func (tok Token) SignerFingerprint() (string, error) {
	if len(tok.PublicKey) == 0 {
		return "", nil
	}
	s, err := newSigner(tok.PublicKey, tok.PublicKeyPCRs, "")
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(s.fingerprint[:]), nil
}
