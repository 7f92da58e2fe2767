//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"time"

	"github.com/miekg/pkcs11"
)

// certify writes a certificate that the key pair signs itself: systemd before 256 finds
// the public key in nothing else. Its time is all of time, for the clock of a first boot
// is often wrong, and it says nothing that anybody relies on.
func (c *card) certify(public, private pkcs11.ObjectHandle) error {
	key, err := c.publicOf(pkcs11.CKO_PUBLIC_KEY, public)
	if err != nil {
		return err
	}
	if point, ok := key.(*ecdh.PublicKey); ok {
		if key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point.Bytes()); err != nil {
			return err
		}
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: c.where.token},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, &signer{c, private, key})
	if err != nil {
		return err
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	serial, err := asn1.Marshal(made.SerialNumber)
	if err != nil {
		return err
	}
	_, err = c.module.CreateObject(c.session, append(c.named(),
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false), pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, made.RawSubject),
		pkcs11.NewAttribute(pkcs11.CKA_ISSUER, made.RawIssuer), pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, serial),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, der)))
	return err
}

// signer is a crypto.Signer of SHA-256 sums.
type signer struct {
	card    *card
	private pkcs11.ObjectHandle
	public  crypto.PublicKey
}

// Public returns the public half.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign signs a sum in the form that certificates have: of RSA PKCS#1 v1.5, of ECDSA in DER.
func (s *signer) Sign(_ io.Reader, sum []byte, _ crypto.SignerOpts) ([]byte, error) {
	if _, ok := s.public.(*ecdsa.PublicKey); ok {
		raw, err := s.sign(pkcs11.CKM_ECDSA, sum)
		if err != nil {
			return nil, err
		}
		half := len(raw) / 2
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	}
	// DigestInfo of RFC 8017, 9.2.
	info, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Sum       []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: asn1.NullRawValue}, sum})
	if err != nil {
		return nil, err
	}
	return s.sign(pkcs11.CKM_RSA_PKCS, info)
}

func (s *signer) sign(how uint, what []byte) ([]byte, error) {
	if err := s.card.module.SignInit(s.card.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(how, nil)}, s.private); err != nil {
		return nil, err
	}
	return s.card.module.Sign(s.card.session, what)
}
