package tpm2

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/secret"
)

// SealOffline seals a secret of 1 to 128 bytes to another machine's TPM, of which only the
// public half of its storage root key is here: a TPM2B_PUBLIC, as "tpm2_readpublic -c
// 0x81000001 -o" and "systemd-analyze srk" write it. Of the PCRs all values must be given.
// Only that TPM can take it in (TPM2_Import) and unseal it; nobody can try that here. TPM
// 2.0 Library Part 1, 23.3.2.
func SealOffline(ctx context.Context, plain []byte, b Binding, device []byte) (Token, error) {
	parent, err := parseDeviceKey(device, b.SRK)
	if err != nil {
		return Token{}, err
	}
	tok := b.token()
	if tok.Bank == "" {
		tok.Bank = banks[0].name
	}
	tok.PrimaryAlg, tok.SRK = parent.alg(), parent.srk
	key, err := tok.pinKey(ctx, b.PIN)
	if err != nil {
		return Token{}, err
	}
	defer key.wipe()
	policy, err := offlinePolicy(tok, b, key.auth)
	if err != nil {
		return Token{}, err
	}
	if _, err := b.judge(tok.Bank, b.Values); err != nil {
		return Token{}, err
	}
	blob, err := wrap(parent, plain, policy, key.auth)
	if err != nil {
		return Token{}, err
	}
	tok.Blobs, tok.PolicyHashes = [][]byte{blob}, [][]byte{policy}
	return tok, tok.noteValues(b.Values)
}

// offlinePolicy is the policy digest of what needs no TPM to tell.
func offlinePolicy(tok Token, b Binding, auth []byte) ([]byte, error) {
	kept, err := bankNamed(tok.Bank)
	if err != nil {
		return nil, err
	}
	if b.PCRLock != "" {
		return nil, fmt.Errorf("a policy of pcrlock is in the TPM, which is not here: %w", ErrUnsupported)
	}
	want := terms{bank: kept, pcrs: tok.PCRs, auth: auth}
	for _, pcr := range want.pcrs {
		if b.Values[pcr] == nil {
			return nil, fmt.Errorf("seal to a TPM that is not here: PCR %d has no value given", pcr)
		}
	}
	if len(tok.PublicKey) > 0 {
		if want.signer, err = newSigner(tok.PublicKey, tok.PublicKeyPCRs, ""); err != nil {
			return nil, err
		}
	}
	return want.digest(b.Values)
}

// parseDeviceKey reads the public half of a storage root key.
func parseDeviceKey(file []byte, handle uint32) (storageKey, error) {
	r := reader{rest: file}
	area := r.sized()
	if r.short || len(r.rest) > 0 {
		return storageKey{}, fmt.Errorf("device key of %d bytes is no TPM2B_PUBLIC", len(file))
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		return storageKey{}, fmt.Errorf("device key: %w", err)
	}
	if a := public.ObjectAttributes; !a.Restricted || !a.Decrypt || !a.FixedTPM || public.NameAlg != tpm2.TPMAlgSHA256 {
		return storageKey{}, errors.New("device key: it is no storage key of a TPM with a name of SHA-256")
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return storageKey{}, fmt.Errorf("device key: %w", err)
	}
	if handle == 0 {
		handle = defaultSRK
	}
	k := persistentKey{handle: handle, name: name.Buffer, public: area}
	if _, err := parsePersistentKey(k.marshal()); err != nil {
		return storageKey{}, fmt.Errorf("device key: %w", err)
	}
	return storageKey{name: *name, public: *public, srk: k.marshal()}, nil
}

// wrap makes a sealed object without the TPM, encrypted to its storage key. It has none of
// the attributes that a TPM gives to what it makes itself.
func wrap(parent storageKey, plain, policy, auth []byte) ([]byte, error) {
	if len(plain) < 1 || len(plain) > maxSecret {
		return nil, fmt.Errorf("seal a secret of %d bytes: want 1 to %d", len(plain), maxSecret)
	}
	seed := make([]byte, sha256.Size)
	rand.Read(seed)
	defer secret.Wipe(seed)
	unique := secret.Sum256(seed, plain)
	public := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique}),
	}
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return nil, err
	}
	private := sensitive(auth, seed, plain)
	defer secret.Wipe(private) // where it could not be encrypted
	encrypted, outer, err := protect(parent, name.Buffer, private)
	if err != nil {
		return nil, fmt.Errorf("seal to the device key: %w", err)
	}
	duplicate := slices.Concat(sized(outer), private)
	return sealedObject{private: duplicate, public: tpm2.Marshal(public), seed: encrypted}.marshal(), nil
}

// sensitive is a TPM2B_SENSITIVE: of the type, authorization, seed and secret. It is made by
// hand, for go-tpm makes more copies than anybody could wipe. TPM 2.0 Library Part 2, 12.3.2.4.
func sensitive(auth, seed, plain []byte) []byte {
	const size, kind = 2, 2
	private := make([]byte, 0, size+kind+3*size+len(auth)+len(seed)+len(plain)) // room for all
	private = binary.BigEndian.AppendUint16(private, uint16(cap(private)-size))
	private = binary.BigEndian.AppendUint16(private, uint16(tpm2.TPMAlgKeyedHash))
	for _, part := range [][]byte{auth, seed, plain} {
		private = append(binary.BigEndian.AppendUint16(private, uint16(len(part))), part...)
	}
	return private
}

// protect encrypts what is private of an object in place, so that only the TPM with the
// storage key can take it in, and returns the seed of that for the TPM and the HMAC over it. TPM
// 2.0 Library Part 1, 23.3.2.3.
func protect(parent storageKey, name, private []byte) (encrypted, outer []byte, err error) {
	key, err := tpm2.ImportEncapsulationKey(&parent.public)
	if err != nil {
		return nil, nil, err
	}
	seed, encrypted, err := key.Encapsulate(rand.Reader, "DUPLICATE")
	if err != nil {
		return nil, nil, err
	}
	defer secret.Wipe(seed)
	bits, err := key.SymmetricParameters().KeyBits.AES()
	if err != nil {
		return nil, nil, err
	}
	encryption := tpm2.KDFa(crypto.SHA256, seed, "STORAGE", name, nil, int(*bits))
	defer secret.Wipe(encryption)
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return nil, nil, err
	}
	//nolint:staticcheck // CFB is what TPMs have, and the HMAC authenticates it
	cipher.NewCFBEncrypter(block, make([]byte, block.BlockSize())).XORKeyStream(private, private)
	integrity := tpm2.KDFa(crypto.SHA256, seed, "INTEGRITY", nil, nil, 8*sha256.Size)
	defer secret.Wipe(integrity)
	return encrypted, secret.HMAC256(integrity, private, name), nil
}

// sized is a TPM2B: bytes behind their number.
func sized(p []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)
}

// takeIn makes of an object that was sealed offline one that this TPM can load.
func (t *TPM) takeIn(parent storageKey, object sealedObject) (sealedObject, error) {
	handle, done, err := t.authorize(parent)
	if err != nil {
		return object, err
	}
	defer done()
	rsp, err := tpm2.Import{
		ParentHandle: handle, ObjectPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](object.public),
		Duplicate: tpm2.TPM2BPrivate{Buffer: object.private}, InSymSeed: tpm2.TPM2BEncryptedSecret{Buffer: object.seed},
	}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCIntegrity) {
		return object, fmt.Errorf("import the sealed object: %w: %w", ErrForeignTPM, err)
	}
	if err != nil {
		return object, failed("import the sealed object", err)
	}
	return sealedObject{private: rsp.OutPrivate.Buffer, public: object.public}, nil
}
