//go:build cgo

package pkcs11

import (
	"encoding/binary"

	"github.com/miekg/pkcs11"

	"github.com/sealpart/sealpart/internal/secret"
)

// mechanisms are how an RSA token decrypts each padding.
var mechanisms = map[string]func() *pkcs11.Mechanism{
	paddingV15: func() *pkcs11.Mechanism { return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil) },
	paddingOAEPSHA1: func() *pkcs11.Mechanism {
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.NewOAEPParams(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, pkcs11.CKZ_DATA_SPECIFIED, nil))
	},
	paddingOAEPSHA256: func() *pkcs11.Mechanism {
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.NewOAEPParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, pkcs11.CKZ_DATA_SPECIFIED, nil))
	},
}

// padding is the one that every systemd opens, where the token has it still.
func (c *card) padding() string {
	v15, err := c.module.GetMechanismInfo(c.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)})
	if err == nil && v15.Flags&pkcs11.CKF_DECRYPT == 0 {
		return paddingOAEPSHA256
	}
	if err != nil {
		return paddingOAEPSHA256
	}
	return paddingV15
}

// unwrap returns the secret that a LUKS2 token guards, for the caller to wipe. login is
// called for a key that wants the PIN for every use.
func (c *card) unwrap(t token, login func() error) (*secret.Buffer, error) {
	key, err := c.private()
	if err != nil {
		return nil, err
	}
	kind, err := c.attribute(key, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	// Modules older than the attribute do not know it.
	if always, err := c.attribute(key, pkcs11.CKA_ALWAYS_AUTHENTICATE); err != nil || len(always) == 0 || always[0] == 0 {
		login = func() error { return nil }
	}
	switch number(kind) {
	case pkcs11.CKK_RSA:
		return c.decrypt(key, t, login)
	case pkcs11.CKK_EC:
		return c.derive(key, t.Key, login)
	}
	return nil, c.where.fail(ErrKey, "it is neither RSA nor EC")
}

// number is a CK_ULONG as a module gives it, of 4 or 8 bytes in this machine's order.
func number(raw []byte) uint64 {
	switch len(raw) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(raw))
	case 8:
		return binary.NativeEndian.Uint64(raw)
	}
	return ^uint64(0)
}

func (c *card) decrypt(key pkcs11.ObjectHandle, t token, login func() error) (*secret.Buffer, error) {
	if err := c.module.DecryptInit(c.session, []*pkcs11.Mechanism{mechanisms[t.Padding]()}, key); err != nil {
		return nil, c.where.fail(ErrKey, "decrypt: %v", err)
	}
	// It is the operation that is logged in for: not before it has begun.
	if err := login(); err != nil {
		return nil, err
	}
	plain, err := c.module.Decrypt(c.session, t.Key)
	if err != nil || len(plain.Bytes()) == 0 {
		plain.Wipe()
		return nil, c.where.fail(ErrKey, "decrypt: the pkcs11-key is for another key, or damaged (%v)", err)
	}
	return plain, nil
}

// derive agrees on the secret with the point of the LUKS2 token. What comes of it is an
// object of this session only, and is destroyed at once.
func (c *card) derive(key pkcs11.ObjectHandle, point []byte, login func() error) (*secret.Buffer, error) {
	size, err := sharedSize(point)
	if err != nil {
		return nil, c.where.fail(ErrKey, "%v", err)
	}
	if err := login(); err != nil {
		return nil, err
	}
	how := pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point))
	shared, err := c.module.DeriveKey(c.session, []*pkcs11.Mechanism{how}, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, size),
	})
	if err != nil {
		return nil, c.where.fail(ErrKey, "derive: %v", err)
	}
	defer func() { _ = c.module.DestroyObject(c.session, shared) }()
	plain, err := c.module.value(c.session, shared)
	if err != nil {
		return nil, c.where.fail(ErrKey, "derive: read what comes of it: %v", err)
	}
	return plain, nil
}
