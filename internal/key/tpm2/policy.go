package tpm2

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// terms are what a policy asks for, in the order in which it does: first one signed
// policy or one of an NV index, each of which makes an end of what was before.
type terms struct {
	signer *signer  // whose signature PCRs need; nil: nobody's
	lock   *pcrLock // whose NV index holds what PCRs must be; nil: none
	bank   bank
	pcrs   []int
	auth   []byte // the PIN's authorization; nil: there is no PIN
}

// digest is the policy digest of an object with these terms that opens when the PCRs
// have these values. It begins with 32 zero bytes.
func (want terms) digest(values map[int][]byte) ([]byte, error) {
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if want.signer != nil {
		err = tpm2.PolicyAuthorize{KeySign: want.signer.name, PolicyRef: want.signer.policyRef()}.Update(calculator)
	}
	if want.lock != nil {
		err = tpm2.PolicyAuthorizeNV{NVIndex: want.lock.index}.Update(calculator)
	}
	if err == nil {
		err = addPCRs(calculator, want.bank, values)
	}
	if err == nil && want.auth != nil {
		err = tpm2.PolicyAuthValue{}.Update(calculator)
	}
	return calculator.Hash().Digest, err
}

// addPCRs takes a digest through TPM2_PolicyPCR: SHA-256 over it, TPM_CC_PolicyPCR, the
// selection, and the SHA-256 of the values in ascending order; without PCRs it stays.
// TPM 2.0 Library Part 3, 23.7.
func addPCRs(calculator *tpm2.PolicyCalculator, b bank, values map[int][]byte) error {
	if len(values) == 0 {
		return nil
	}
	pcrs := slices.Sorted(maps.Keys(values))
	h := sha256.New()
	for _, pcr := range pcrs {
		h.Write(values[pcr])
	}
	step := tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)}, Pcrs: selection(b, pcrs)}
	return step.Update(calculator)
}

// walkPolicy starts a policy session under the storage key, takes it through the
// policy, and returns it with the digest that the TPM has come to. What the
// session authorizes comes back encrypted. A PIN does not go over the bus: its
// authorization is a part of the key of the command's HMAC, beside the session's, whose
// salt only the storage key can read; so who listens has nothing to guess it by.
func (t *TPM) walkPolicy(parent storageKey, want terms) (*policySession, []byte, error) {
	session, err := t.startSession(parent, want.auth)
	if err != nil {
		return nil, nil, failed("start a policy session", err)
	}
	digest, err := t.takeSteps(session, want)
	if err != nil {
		session.wipe()
		return nil, nil, err
	}
	return session, digest, nil
}

// takeSteps takes a policy session through the terms, and returns the digest that the TPM
// has come to.
func (t *TPM) takeSteps(session *policySession, want terms) ([]byte, error) {
	if want.signer != nil {
		if err := t.takeSigned(session, want.bank, want.signer); err != nil {
			return nil, err
		}
	}
	if want.lock != nil {
		if err := t.takeLock(session, want.lock); err != nil {
			return nil, err
		}
	}
	if len(want.pcrs) > 0 {
		step := tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection(want.bank, want.pcrs)}
		if _, err := step.Execute(t.link); err != nil {
			return nil, failed("bind a policy session to PCRs "+pcrList(want.pcrs), err)
		}
	}
	if want.auth != nil {
		if _, err := (tpm2.PolicyAuthValue{PolicySession: session.Handle()}).Execute(t.link); err != nil {
			return nil, failed("bind a policy session to a PIN", err)
		}
	}
	return t.policyDigest(session)
}

// policyDigest asks what a session has come to.
func (t *TPM) policyDigest(session *policySession) ([]byte, error) {
	rsp, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(t.link)
	if err != nil {
		return nil, failed("ask for a policy digest", err)
	}
	return rsp.PolicyDigest.Buffer, nil
}

// mismatch says which PCRs may have changed. The digest does not tell one of
// several from another; where it is one, it is that one.
func (want terms) mismatch() error {
	switch len(want.pcrs) {
	case 0:
		return fmt.Errorf("%w: the token names no PCRs whose values could have changed, and its policy is another", ErrPolicy)
	case 1:
		return fmt.Errorf("%w: PCR %d (%s) has changed since sealing", ErrPolicy, want.pcrs[0], want.bank.name)
	}
	return fmt.Errorf("%w: at least one of PCRs %s (%s) has changed since sealing", ErrPolicy, pcrList(want.pcrs), want.bank.name)
}
