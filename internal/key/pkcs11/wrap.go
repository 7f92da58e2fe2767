package pkcs11

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/sealpart/sealpart/internal/secret"
)

// The sizes of RSA keys that are taken, in bits. Below, the secret is not safe; above, a
// hostile certificate would make us compute for minutes.
const minRSA, maxRSA = 2048, 16384

// wrapped is a secret, and what the private key gets it back from.
type wrapped struct {
	secret      *secret.Buffer
	key         []byte
	padding     string
	fingerprint string // of the public key
}

// wrapRSA encrypts a random secret of half the modulus, as systemd does.
func wrapRSA(public *rsa.PublicKey, padding string) (wrapped, error) {
	plain, err := secret.Random(public.Size()/2, rand.Reader)
	if err != nil {
		return wrapped{}, err
	}
	w := wrapped{secret: plain, padding: padding}
	switch padding {
	case paddingOAEPSHA1:
		w.key, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain.Bytes(), nil)
	case paddingOAEPSHA256:
		w.key, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public, plain.Bytes(), nil)
	default:
		// It is the form that systemd before 261 opens. There is no oracle: whoever can
		// ask the token to decrypt can have the secret.
		w.key, err = encryptV15(public, plain.Bytes())
	}
	if err != nil {
		plain.Wipe()
		return wrapped{}, err
	}
	return w, nil
}

// encryptV15 is RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.1) of what is known to be short enough.
// That of crypto/rsa leaves the secret in the heap. It takes the same time for every secret as
// nearly as matters: nobody can have it taken again.
func encryptV15(public *rsa.PublicKey, plain []byte) ([]byte, error) {
	block, err := secret.Random(public.Size(), nonZero{})
	if err != nil {
		return nil, err
	}
	defer block.Wipe()
	padded := block.Bytes()
	padded[0], padded[1], padded[len(padded)-len(plain)-1] = 0, 2, 0
	copy(padded[len(padded)-len(plain):], plain)
	message := new(big.Int).SetBytes(padded)
	defer clear(message.Bits())
	return new(big.Int).Exp(message, big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, public.Size())), nil
}

// nonZero gives random bytes, none of them 0.
type nonZero struct{}

func (nonZero) Read(p []byte) (int, error) {
	_, _ = rand.Read(p) // never fails
	for i := range p {
		for p[i] == 0 {
			_, _ = rand.Read(p[i : i+1])
		}
	}
	return len(p), nil
}

// wrapEC agrees on a secret between an ephemeral key and the token's.
func wrapEC(public *ecdh.PublicKey) (wrapped, error) {
	ephemeral, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return wrapped{}, err
	}
	shared, err := ephemeral.ECDH(public)
	if err != nil {
		return wrapped{}, err
	}
	plain, err := secret.Take(shared)
	return wrapped{secret: plain, key: ephemeral.PublicKey().Bytes()}, err
}

// sharedSize is how many bytes come of a point's curve.
func sharedSize(point []byte) (int, error) {
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521()} {
		if _, err := curve.NewPublicKey(point); err == nil {
			return (len(point) - 1) / 2, nil
		}
	}
	return 0, fmt.Errorf("pkcs11-key is no uncompressed point of P-256, P-384 or P-521")
}
