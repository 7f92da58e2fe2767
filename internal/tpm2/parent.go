package tpm2

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// nonceSize of our sessions, the most that SHA-256 sessions allow.
const nonceSize = 32

// Kinds of storage key, as in tpm2-primary-alg.
const (
	algECC = "ecc"
	algRSA = "rsa"
)

// storageKey is a loaded key under which objects are sealed.
type storageKey struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// storageTemplate is what makes systemd's key when it has no tpm2_srk. Every bit
// counts: the TPM derives the key from its seed and from this template.
func storageTemplate(alg string) tpm2.TPMTPublic {
	public := tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, Restricted: true, Decrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC,
			&tpm2.TPMSECCParms{Symmetric: aes128CFB(), CurveID: tpm2.TPMECCNistP256}),
	}
	if alg == algRSA {
		public.Type = tpm2.TPMAlgRSA
		public.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA,
			&tpm2.TPMSRSAParms{Symmetric: aes128CFB(), KeyBits: 2048})
	}
	return public
}

func aes128CFB() tpm2.TPMTSymDefObject {
	return tpm2.TPMTSymDefObject{
		Algorithm: tpm2.TPMAlgAES,
		KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
		Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
	}
}

// storageAlg is ECC where the TPM can make such a key, else RSA.
func (t *TPM) storageAlg() (string, error) {
	template := storageTemplate(algECC)
	_, err := tpm2.TestParms{Parameters: tpm2.TPMTPublicParms{
		Type: template.Type, Parameters: template.Parameters,
	}}.Execute(t.link)
	var refused tpm2.TPMFmt1Error
	switch {
	case err == nil:
		return algECC, nil
	case errors.As(err, &refused): // the TPM names a parameter that it cannot do
		return algRSA, nil
	}
	return "", failed("ask the TPM for the keys it can make", err)
}

// makeStorageKey makes the key of a template in the owner hierarchy. It takes no
// room in the TPM's permanent memory, and comes out the same each time.
func (t *TPM) makeStorageKey(alg string) (storageKey, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(storageTemplate(alg)),
	}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCBadAuth) {
		return storageKey{}, fmt.Errorf("make the storage key: the owner hierarchy has a password: %w", err)
	}
	if err != nil {
		return storageKey{}, failed("make the storage key", err)
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return storageKey{}, failed("make the storage key", err)
	}
	return storageKey{rsp.ObjectHandle, rsp.Name, *public}, nil
}

// findStorageKey takes the persistent key that a token names. That its public half
// is the one of then proves the TPM: only it can answer a session salted with it.
func (t *TPM) findStorageKey(srk persistentKey) (storageKey, error) {
	handle := tpm2.TPMHandle(srk.handle)
	rsp, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return storageKey{}, fmt.Errorf("%w: it has no storage key at %#x", ErrForeignTPM, srk.handle)
	}
	if err != nil {
		return storageKey{}, failed(fmt.Sprintf("read the storage key at %#x", srk.handle), err)
	}
	if !bytes.Equal(rsp.OutPublic.Bytes(), srk.public) {
		return storageKey{}, fmt.Errorf("%w: the storage key at %#x is another", ErrForeignTPM, srk.handle)
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return storageKey{}, failed(fmt.Sprintf("read the storage key at %#x", srk.handle), err)
	}
	return storageKey{handle, tpm2.TPM2BName{Buffer: srk.name}, *public}, nil
}

// authorize is a session that proves the storage key's (empty) authorization and
// encrypts the first parameter of the command and of its response.
func (t *TPM) authorize(parent storageKey) (tpm2.AuthHandle, error) {
	session, _, err := tpm2.HMACSession(t.link, tpm2.TPMAlgSHA256, nonceSize,
		tpm2.Salted(parent.handle, parent.public), tpm2.AESEncryption(128, tpm2.EncryptInOut))
	if err != nil {
		return tpm2.AuthHandle{}, failed("start an encrypted session", err)
	}
	return tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: session}, nil
}
