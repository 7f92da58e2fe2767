package tpm2

import (
	"bytes"
	"errors"
	"fmt"
)

// shard is one sealed object of a token. One object can be bound to a signed policy or to
// one of pcrlock; where a volume is bound to both, each guards a part of the secret.
type shard struct {
	terms
	policy []byte // the object's policy digest
	object sealedObject
}

// objects takes the sealed objects of a token apart, before a TPM is asked.
func (tok Token) objects() ([]sealedObject, error) {
	var all []sealedObject
	for i, blob := range tok.Blobs {
		object, err := parseBlob(blob)
		if err != nil {
			return nil, err
		}
		policy, err := object.authPolicy()
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(policy, tok.PolicyHashes[i]) {
			return nil, fmt.Errorf("tpm2-policy-hash %x is not the policy of the sealed object, %x", tok.PolicyHashes[i], policy)
		}
		all = append(all, object)
	}
	return all, nil
}

// shards pairs the objects of a token with their terms.
func (t *TPM) shards(tok Token, auth []byte) ([]shard, error) {
	objects, err := tok.objects()
	if err != nil {
		return nil, err
	}
	all, err := t.termsOf(tok, auth)
	if err != nil {
		return nil, err
	}
	if len(all) != len(objects) {
		return nil, fmt.Errorf("token of type %s: %d sealed objects, and what it says it is bound to makes %d", tokenType, len(objects), len(all))
	}
	shards := make([]shard, len(all))
	for i := range all {
		shards[i] = shard{all[i], tok.PolicyHashes[i], objects[i]}
	}
	return shards, nil
}

// termsOf returns what each object of a token asks for.
func (t *TPM) termsOf(tok Token, auth []byte) ([]terms, error) {
	b, err := t.tokenBank(tok)
	if err != nil {
		return nil, err
	}
	plain := terms{bank: b, pcrs: tok.PCRs, auth: auth}
	var all []terms
	if len(tok.PublicKey) > 0 {
		signed := plain
		if signed.signer, err = newSigner(tok.PublicKey, tok.PublicKeyPCRs, tok.PublicKeyRef); err != nil {
			return nil, err
		}
		all = append(all, signed)
	}
	if tok.PCRLock {
		locked := plain
		if locked.lock, err = t.tokenLock(tok); err != nil {
			return nil, err
		}
		all = append(all, locked)
	}
	if all == nil {
		all = []terms{plain}
	}
	return all, nil
}

// tokenLock returns the policy of pcrlock that a token is bound to.
func (t *TPM) tokenLock(tok Token) (*pcrLock, error) {
	policy, err := t.Search.pcrLock(t.Search.PCRLock)
	if err != nil {
		return nil, fmt.Errorf("%w: it is bound to a policy of pcrlock: %w", ErrPolicy, err)
	}
	if len(tok.PCRLockNV) > 0 && !bytes.Equal(tok.PCRLockNV, policy.nvHandle) {
		return nil, errors.Join(ErrPolicy, fmt.Errorf("it is bound to another policy of pcrlock than the one at NV index %#x", policy.index))
	}
	return t.lockAt(policy)
}
