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

// defaultSRK is where the storage root key lies that all programs share. TCG TPM v2.0
// Provisioning Guidance, 7.5.1.
const defaultSRK = 0x81000001

// storageKey is a loaded key under which objects are sealed.
type storageKey struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
	srk    []byte // tpm2_srk of a persistent key, nil for one that is made anew
}

// alg is the kind of key, as in tpm2-primary-alg.
func (k storageKey) alg() string {
	if k.public.Type == tpm2.TPMAlgRSA {
		return algRSA
	}
	return algECC
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

// srkTemplate makes the key that systemd since 254 makes persistent. Unlike the other, a TPM
// in lockout lets it be used. The same template makes the same key each time.
func srkTemplate(alg string) tpm2.TPMTPublic {
	public := storageTemplate(alg)
	public.ObjectAttributes.NoDA = true
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
func (t *TPM) makeStorageKey(template tpm2.TPMTPublic) (storageKey, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
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
	return storageKey{handle: rsp.ObjectHandle, name: rsp.Name, public: *public}, nil
}

// findStorageKey takes the persistent key that a token names. That its public half
// is the one of then proves the TPM: only it can answer a session salted with it.
func (t *TPM) findStorageKey(srk persistentKey) (storageKey, error) {
	found, err := t.readPersistent(srk.handle)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return t.remakeStorageKey(srk)
	}
	if err != nil {
		return storageKey{}, err
	}
	if !bytes.Equal(tpm2.Marshal(found.public), srk.public) {
		return storageKey{}, fmt.Errorf("%w: the storage key at %#x is another", ErrForeignTPM, srk.handle)
	}
	return found, nil
}

// remakeStorageKey makes a persistent key that is not there, or not yet, as on a device
// that an object was sealed to offline: where it is the TPM's root key, the TPM's seed
// gives it again. It is not made persistent: that is for who writes, not for who reads.
func (t *TPM) remakeStorageKey(srk persistentKey) (storageKey, error) {
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](srk.public)
	if err != nil {
		return storageKey{}, fmt.Errorf("tpm2_srk: %w", err)
	}
	made, err := t.makeStorageKey(srkTemplate(storageKey{public: *public}.alg()))
	if err != nil {
		return storageKey{}, err
	}
	if !bytes.Equal(tpm2.Marshal(made.public), srk.public) {
		return storageKey{}, fmt.Errorf("%w: it has no storage key at %#x", ErrForeignTPM, srk.handle)
	}
	return made, nil
}

// readPersistent takes a persistent key.
func (t *TPM) readPersistent(handle uint32) (storageKey, error) {
	doing := fmt.Sprintf("read the storage key at %#x", handle)
	rsp, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(handle)}.Execute(t.link)
	if err != nil {
		return storageKey{}, failed(doing, err)
	}
	public, err := rsp.OutPublic.Contents()
	if err != nil {
		return storageKey{}, failed(doing, err)
	}
	k := persistentKey{handle: handle, name: rsp.Name.Buffer, public: rsp.OutPublic.Bytes()}
	return storageKey{handle: tpm2.TPMHandle(handle), name: rsp.Name, public: *public, srk: k.marshal()}, nil
}

// sharedStorageKey takes the persistent key under a handle. Where there is none at
// defaultSRK it is made so: a power cut leaves the TPM with that key or without.
func (t *TPM) sharedStorageKey(handle uint32) (storageKey, error) {
	key, err := t.readPersistent(handle)
	if errors.Is(err, tpm2.TPMRCHandle) && handle == defaultSRK {
		if err := t.persistStorageKey(); err != nil {
			return storageKey{}, err
		}
		key, err = t.readPersistent(handle)
	}
	if err != nil {
		return storageKey{}, err
	}
	if a := key.public.ObjectAttributes; !a.Restricted || !a.Decrypt || !a.FixedTPM {
		return storageKey{}, fmt.Errorf("the key at %#x is no storage key of this TPM (srk)", handle)
	}
	return key, nil
}

// persistStorageKey makes the TPM's storage root key, and keeps it at defaultSRK.
func (t *TPM) persistStorageKey() error {
	alg, err := t.storageAlg()
	if err != nil {
		return err
	}
	made, err := t.makeStorageKey(srkTemplate(alg))
	if err != nil {
		return err
	}
	_, err = tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		ObjectHandle:     tpm2.NamedHandle{Handle: made.handle, Name: made.name},
		PersistentHandle: defaultSRK,
	}.Execute(t.link)
	if err != nil {
		return failed(fmt.Sprintf("keep the storage key at %#x", uint32(defaultSRK)), err)
	}
	return nil
}

// authorize is a session that proves the storage key's (empty) authorization and
// encrypts the first parameter of the command and of its response. done gives it back:
// a TPM has room for three. Where that fails, the ledger still has it.
func (t *TPM) authorize(parent storageKey) (handle tpm2.AuthHandle, done func(), err error) {
	t.link.counts = t.link.counts || !parent.public.ObjectAttributes.NoDA
	session, closer, err := tpm2.HMACSession(t.link, tpm2.TPMAlgSHA256, nonceSize,
		tpm2.Salted(parent.handle, parent.public), tpm2.AESEncryption(128, tpm2.EncryptInOut))
	if err != nil {
		return tpm2.AuthHandle{}, nil, failed("start an encrypted session", err)
	}
	return tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: session}, func() { _ = closer() }, nil
}
