package pkcs11

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// fromCertificate returns the public key of a DER certificate: *rsa.PublicKey or
// *ecdh.PublicKey. Who signed the certificate says nothing here: it is the token's owner who
// put it there.
func fromCertificate(der []byte) (any, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		return checkRSA(key)
	case *ecdsa.PublicKey:
		return key.ECDH()
	}
	return nil, fmt.Errorf("the certificate is for a key of the kind %s", certificate.PublicKeyAlgorithm)
}

// fromRSA makes a key of what a public key object says, both big-endian.
func fromRSA(modulus, exponent []byte) (any, error) {
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, fmt.Errorf("an RSA exponent of %d bits", e.BitLen())
	}
	return checkRSA(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())})
}

func checkRSA(key *rsa.PublicKey) (any, error) {
	if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, fmt.Errorf("an RSA key of %d bits", bits)
	}
	return key, nil
}

// curves are the named curves that systemd takes, by their OID in DER.
var curves = []struct {
	oid   asn1.ObjectIdentifier
	curve ecdh.Curve
}{
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, ecdh.P256()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 34}, ecdh.P384()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 35}, ecdh.P521()},
}

// fromEC makes a key of what a public key object says: the curve's OID, and the point
// in an OCTET STRING, both in DER.
func fromEC(params, point []byte) (any, error) {
	var raw []byte
	if rest, err := asn1.Unmarshal(point, &raw); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the key's point is not one OCTET STRING")
	}
	for _, c := range curves {
		if der, err := asn1.Marshal(c.oid); err == nil && bytes.Equal(der, params) {
			return c.curve.NewPublicKey(raw)
		}
	}
	return nil, fmt.Errorf("the key's curve is not P-256, P-384 or P-521")
}
