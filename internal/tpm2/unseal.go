package tpm2

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/secret"
)

// Unseal returns the secret of a token, for the caller to wipe; Passphrase makes
// of it what opens the keyslot. The PIN is for tokens that want one; a wrong one costs one
// of the TPM's tries, and only one. The errors to act on are ErrPolicy, ErrForeignTPM,
// ErrNoPIN, ErrPIN, ErrLockout and ErrUnsupported.
func (t *TPM) Unseal(tok Token, pin []byte) ([]byte, error) {
	defer t.release()
	plain, err := t.unseal(tok, pin)
	if errors.Is(err, ErrLockout) {
		err = fmt.Errorf("%w%s", err, t.lockedFor())
	}
	return plain, err
}

func (t *TPM) unseal(tok Token, pin []byte) ([]byte, error) {
	if err := tok.check(); err != nil {
		return nil, fmt.Errorf("token of type %s: %w", tokenType, err)
	}
	object, err := tok.plainObject()
	if err != nil {
		return nil, err
	}
	auth, err := tok.authorization(pin)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(auth)
	parent, err := t.parentOf(tok)
	if err != nil {
		return nil, err
	}
	item, err := t.load(parent, object)
	if err != nil {
		return nil, err
	}
	for range pcrAttempts {
		plain, err := t.openItem(parent, item, tok, auth)
		if !errors.Is(err, tpm2.TPMRCPCRChanged) {
			return plain, err
		}
	}
	return nil, fmt.Errorf("unseal: PCRs %s kept changing", pcrList(tok.PCRs))
}

// plainObject is the sealed object of a token that is bound by nothing but PCR
// values and a PIN. Everything else is refused by name, before a TPM is asked.
func (tok Token) plainObject() (sealedObject, error) {
	switch {
	case tok.Extra["tpm2_argon2id_memcost"] != nil:
		return sealedObject{}, unsupported("its PIN is hardened with Argon2id (tpm2_argon2id_memcost)")
	case tok.PCRLock:
		return sealedObject{}, unsupported("it is bound to a pcrlock policy (tpm2_pcrlock)")
	case len(tok.PublicKey) > 0 || len(tok.PublicKeyPCRs) > 0:
		return sealedObject{}, unsupported("it is bound to a signed PCR policy (tpm2_pubkey)")
	case len(tok.Blobs) != 1 || len(tok.PolicyHashes) != 1:
		return sealedObject{}, unsupported(fmt.Sprintf("its secret is in %d shards (tpm2-blob)", len(tok.Blobs)))
	}
	object, err := parseBlob(tok.Blobs[0])
	if err != nil {
		return object, err
	}
	if len(object.seed) > 0 {
		return object, unsupported("its secret was sealed without the TPM, and must be imported (tpm2-blob)")
	}
	policy, err := object.authPolicy()
	if err != nil {
		return object, err
	}
	if !bytes.Equal(policy, tok.PolicyHashes[0]) {
		return object, fmt.Errorf("tpm2-policy-hash %x is not the policy of the sealed object, %x", tok.PolicyHashes[0], policy)
	}
	return object, nil
}

// parentOf finds or makes the storage key that a token was sealed under.
func (t *TPM) parentOf(tok Token) (storageKey, error) {
	if len(tok.SRK) > 0 {
		srk, err := parsePersistentKey(tok.SRK)
		if err != nil {
			return storageKey{}, err
		}
		return t.findStorageKey(srk)
	}
	alg := tok.PrimaryAlg
	if alg == "" {
		alg = algECC
	}
	return t.makeStorageKey(alg)
}

// load brings the sealed object into the TPM. Its HMAC is made with the storage
// key's seed, so an integrity failure means another seed, or a damaged blob.
func (t *TPM) load(parent storageKey, object sealedObject) (tpm2.NamedHandle, error) {
	handle, err := t.authorize(parent)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	rsp, err := tpm2.Load{
		ParentHandle: handle,
		InPrivate:    tpm2.TPM2BPrivate{Buffer: object.private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](object.public),
	}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCIntegrity) {
		return tpm2.NamedHandle{}, fmt.Errorf("load the sealed object: %w: %w", ErrForeignTPM, err)
	}
	if err != nil {
		return tpm2.NamedHandle{}, failed("load the sealed object", err)
	}
	return tpm2.NamedHandle{Handle: rsp.ObjectHandle, Name: rsp.Name}, nil
}

// openItem walks the policy and unseals. TPM_RC_PCR_CHANGED is returned as it is:
// the same can be tried again with a new session.
func (t *TPM) openItem(parent storageKey, item tpm2.NamedHandle, tok Token, auth []byte) ([]byte, error) {
	b, err := t.tokenBank(tok)
	if err != nil {
		return nil, err
	}
	want := terms{bank: b, pcrs: tok.PCRs, auth: auth}
	session, digest, err := t.walkPolicy(parent, want)
	if err != nil {
		return nil, err
	}
	defer session.wipe()
	// Not left to release: this may be tried again, and sessions are few. Where it
	// fails, the ledger still has the session.
	defer tpm2.FlushContext{FlushHandle: session.Handle()}.Execute(t.link)
	if !bytes.Equal(digest, tok.PolicyHashes[0]) {
		return nil, t.explainMismatch(want, tok, digest)
	}
	rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{
		Handle: item.Handle, Name: item.Name, Auth: session,
	}}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCPolicyFail) {
		return nil, fmt.Errorf("%w: %w", policyMismatch(b, tok.PCRs), err)
	}
	if err != nil {
		return nil, t.refusedPIN(err)
	}
	return rsp.OutData.Buffer, nil
}

// tokenBank is the bank that the token names; systemd before 250 named none, and
// the TPM of then had one of these two.
func (t *TPM) tokenBank(tok Token) (bank, error) {
	if tok.Bank != "" {
		return bankNamed(tok.Bank)
	}
	return t.chooseBank("sha256", "sha1")
}

// explainMismatch tells a changed PCR from a TPM that does not compute what it
// should, and from a policy of more steps than this version knows.
func (t *TPM) explainMismatch(want terms, tok Token, digest []byte) error {
	mismatch := policyMismatch(want.bank, tok.PCRs)
	now, err := t.PCRs(want.bank.name, want.pcrs)
	if err != nil {
		return fmt.Errorf("%w, and they cannot be read: %w", mismatch, err)
	}
	ours, err := want.digest(now)
	if err != nil {
		return err
	}
	if !bytes.Equal(ours, digest) {
		return fmt.Errorf("%w: the TPM's digest is %x, ours of the same PCRs %x", ErrPolicy, digest, ours)
	}
	if changes := spokenChanges(want.bank, tok.notedValues(want), now); changes != "" {
		return fmt.Errorf("%w: %s", ErrPolicy, changes)
	}
	if tok.unknownFields() != "" {
		return fmt.Errorf("%w, or one of the token's unknown fields (%s) is a part of the policy", mismatch, tok.unknownFields())
	}
	return mismatch
}
