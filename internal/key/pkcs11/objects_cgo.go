//go:build cgo

package pkcs11

import (
	"slices"

	"github.com/miekg/pkcs11"
)

// maxObjects is how many objects are looked at to find that there is more than one.
const maxObjects = 16

// find returns the objects of a class that the URI fits; id, where it is not nil, takes
// the place of what the URI says of the key.
func (c *card) find(class uint, id []byte) ([]pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	switch {
	case id != nil:
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	default:
		if c.where.object != "" {
			template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, c.where.object))
		}
		if c.where.id != "" {
			template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(c.where.id)))
		}
	}
	return c.match(template)
}

// match returns the objects that have all these attributes.
func (c *card) match(template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := c.module.FindObjectsInit(c.session, template); err != nil {
		return nil, c.where.fail(ErrNoObject, "%v", err)
	}
	found, _, err := c.module.FindObjects(c.session, maxObjects)
	_ = c.module.FindObjectsFinal(c.session)
	if err != nil {
		return nil, c.where.fail(ErrNoObject, "%v", err)
	}
	return found, nil
}

// attribute returns one attribute of an object.
func (c *card) attribute(object pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	got, err := c.module.GetAttributeValue(c.session, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, c.where.fail(ErrKey, "read attribute %#x: %v", kind, err)
	}
	if len(got) != 1 {
		return nil, c.where.fail(ErrKey, "the module gives %d attributes for one", len(got))
	}
	return got[0].Value, nil
}

// public returns the key of the certificate or, where there is none, of the public key
// object that the URI fits.
func (c *card) public() (any, error) {
	if c.key != nil {
		return c.key, nil
	}
	for _, class := range []uint{pkcs11.CKO_CERTIFICATE, pkcs11.CKO_PUBLIC_KEY} {
		found, err := c.find(class, nil)
		switch {
		case err != nil:
			return nil, err
		case len(found) > 1:
			return nil, c.where.fail(ErrSeveral, "%d certificates or public keys", len(found))
		case len(found) == 1:
			key, err := c.publicOf(class, found[0])
			if err != nil {
				return nil, c.where.fail(ErrKey, "%v", err)
			}
			return key, nil
		}
	}
	return nil, c.where.fail(ErrNoObject, "neither a certificate nor a public key")
}

// choose looks for the key that the terms choose among the certificates and public key
// objects that the URI fits and that the token shows now. It reports whether there were any.
func (c *card) choose() (shows bool, err error) {
	for _, class := range []uint{pkcs11.CKO_CERTIFICATE, pkcs11.CKO_PUBLIC_KEY} {
		found, err := c.find(class, nil)
		if err != nil {
			return shows, err
		}
		for _, object := range found {
			key, err := c.publicOf(class, object)
			if err != nil {
				continue // of a kind that is never enrolled
			}
			shows = true
			sum, err := fingerprint(key)
			if err != nil || !slices.Contains(c.terms.sums, sum) {
				continue
			}
			c.id, _ = c.attribute(object, pkcs11.CKA_ID) // without it, the URI finds the private key
			c.key, c.sum = key, sum
			return true, nil
		}
	}
	return shows, nil
}

// publicOf reads a certificate or a public key object.
func (c *card) publicOf(class uint, object pkcs11.ObjectHandle) (any, error) {
	if class == pkcs11.CKO_CERTIFICATE {
		der, err := c.attribute(object, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		return fromCertificate(der)
	}
	if modulus, err := c.attribute(object, pkcs11.CKA_MODULUS); err == nil && len(modulus) > 0 {
		exponent, err := c.attribute(object, pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return nil, err
		}
		return fromRSA(modulus, exponent)
	}
	params, err := c.attribute(object, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	point, err := c.attribute(object, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return fromEC(params, point)
}

// private returns the private key. Where none has the label of the URI, it is the one
// whose id a certificate of that label has.
func (c *card) private() (pkcs11.ObjectHandle, error) {
	var found []pkcs11.ObjectHandle
	var err error
	if len(c.id) > 0 {
		found, err = c.find(pkcs11.CKO_PRIVATE_KEY, c.id)
	}
	if err == nil && len(found) == 0 {
		found, err = c.find(pkcs11.CKO_PRIVATE_KEY, nil)
	}
	if err == nil && len(found) == 0 {
		found, err = c.privateOfCertificate()
	}
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, c.where.fail(ErrNoObject, "no private key")
	case len(found) > 1:
		return 0, c.where.fail(ErrSeveral, "%d private keys", len(found))
	}
	return found[0], nil
}

func (c *card) privateOfCertificate() ([]pkcs11.ObjectHandle, error) {
	certificates, err := c.find(pkcs11.CKO_CERTIFICATE, nil)
	if err != nil || len(certificates) != 1 {
		return nil, err
	}
	id, err := c.attribute(certificates[0], pkcs11.CKA_ID)
	if err != nil || len(id) == 0 {
		return nil, err
	}
	return c.find(pkcs11.CKO_PRIVATE_KEY, id)
}
