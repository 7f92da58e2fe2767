//go:build cgo

package pkcs11

import (
	"encoding/asn1"

	"github.com/miekg/pkcs11"

	"github.com/sealpart/sealpart/definitions"
)

// keyID is the CKA_ID of a key pair whose URI says none.
const keyID = "\x01"

// makeKey makes the key pair of the URI and its certificate, in the place of what a run
// before this one left, and then takes the mark away.
func (c *card) makeKey(kind string, pin []byte) error {
	if err := c.login(forSession, pin); err != nil {
		return err
	}
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
		if err := c.destroy([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}); err != nil {
			return err
		}
	}
	public, private, err := c.generate(kind)
	if err != nil {
		return c.where.fail(ErrMaking, "make a key pair: %v", err)
	}
	if err := c.certify(public, private); err != nil {
		return c.where.fail(ErrMaking, "make its certificate: %v", err)
	}
	return c.destroy(c.mark())
}

// destroy removes all objects like this from a token that was made here.
func (c *card) destroy(like []*pkcs11.Attribute) error {
	objects, err := c.match(like)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := c.module.DestroyObject(c.session, object); err != nil {
			return c.where.fail(ErrMaking, "remove what was not finished: %v", err)
		}
	}
	return nil
}

// generate makes a key pair whose private half never leaves the token. It may sign, which
// its certificate takes.
func (c *card) generate(kind string) (public, private pkcs11.ObjectHandle, err error) {
	how, elliptic := uint(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN), kind == definitions.PairP256
	half := append(c.named(), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true))
	if elliptic {
		how = pkcs11.CKM_EC_KEY_PAIR_GEN
		oid, err := asn1.Marshal(curves[0].oid)
		if err != nil {
			return 0, 0, err
		}
		half = append(half, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oid))
	} else {
		half = append(half, pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, minRSA), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	}
	return c.module.GenerateKeyPair(c.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(how, nil)}, half, append(c.named(),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, !elliptic), pkcs11.NewAttribute(pkcs11.CKA_DERIVE, elliptic)))
}

// named are the attributes that the key pair and its certificate have in common, by which
// the URI finds them.
func (c *card) named() []*pkcs11.Attribute {
	label, id := c.where.object, c.where.id
	if label == "" {
		label = c.where.token
	}
	if id == "" {
		id = keyID
	}
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(id)),
	}
}
