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
	if _, err := tok.objects(); err != nil {
		return nil, err
	}
	key, err := tok.pinKey(t.link.ctx, pin)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	parent, err := t.parentOf(tok)
	if err != nil {
		return nil, err
	}
	shards, err := t.shards(tok, key.auth)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, len(shards)*maxSecret) // so that no copy of it stays behind
	defer func() { secret.Wipe(plain) }()
	for _, s := range shards {
		part, err := t.unsealShard(parent, s, tok)
		if err != nil {
			return nil, err
		}
		plain = append(plain, part.Bytes()...)
		part.Wipe()
	}
	return key.finish(plain), nil
}

// unsealShard unseals one part of a secret.
func (t *TPM) unsealShard(parent storageKey, s shard, tok Token) (*secret.Buffer, error) {
	item, err := t.load(parent, s.object)
	if err != nil {
		return nil, err
	}
	defer tpm2.FlushContext{FlushHandle: item.Handle}.Execute(t.link)
	for range pcrAttempts {
		plain, err := t.openItem(parent, item, s, tok)
		if !errors.Is(err, tpm2.TPMRCPCRChanged) {
			return plain, err
		}
	}
	return nil, fmt.Errorf("unseal: PCRs %s kept changing", pcrList(tok.PCRs))
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
	return t.makeStorageKey(storageTemplate(alg))
}

// load brings the sealed object into the TPM. Its HMAC is made with the storage
// key's seed, so an integrity failure means another seed, or a damaged blob.
func (t *TPM) load(parent storageKey, object sealedObject) (tpm2.NamedHandle, error) {
	if len(object.seed) > 0 {
		taken, err := t.takeIn(parent, object)
		if err != nil {
			return tpm2.NamedHandle{}, err
		}
		object = taken
	}
	handle, done, err := t.authorize(parent)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	defer done()
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
func (t *TPM) openItem(parent storageKey, item tpm2.NamedHandle, s shard, tok Token) (*secret.Buffer, error) {
	session, digest, err := t.walkPolicy(parent, s.terms)
	if err != nil {
		return nil, err
	}
	defer session.wipe()
	// Not left to release: this may be tried again, and sessions are few. Where it
	// fails, the ledger still has the session.
	defer tpm2.FlushContext{FlushHandle: session.Handle()}.Execute(t.link)
	if !bytes.Equal(digest, s.policy) {
		return nil, t.explainMismatch(s, tok, digest)
	}
	t.link.counts = t.link.counts || s.auth != nil
	_, err = tpm2.Unseal{ItemHandle: tpm2.AuthHandle{
		Handle: item.Handle, Name: item.Name, Auth: session,
	}}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCPolicyFail) {
		return nil, fmt.Errorf("%w: %w", s.mismatch(), err)
	}
	if err != nil {
		return nil, t.refusedPIN(err)
	}
	return session.taken.Clone()
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
func (t *TPM) explainMismatch(want shard, tok Token, digest []byte) error {
	mismatch := want.mismatch()
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
	if changes := spokenChanges(want.bank, tok.notedValues(want.terms, want.policy), now); changes != "" {
		return fmt.Errorf("%w: %s", ErrPolicy, changes)
	}
	if tok.unknownFields() != "" {
		return fmt.Errorf("%w, or one of the token's unknown fields (%s) is a part of the policy", mismatch, tok.unknownFields())
	}
	return mismatch
}
