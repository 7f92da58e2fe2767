package tpm2

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// pcrPolicy is the policy digest of an object that opens when the PCRs have these
// values: SHA-256 over 32 zero bytes, TPM_CC_PolicyPCR, the selection, and the
// SHA-256 of the values in ascending order; without PCRs, the zero bytes alone.
// TPM 2.0 Library Part 3, 23.7.
func pcrPolicy(b bank, values map[int][]byte) ([]byte, error) {
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return calculator.Hash().Digest, nil
	}
	pcrs := slices.Sorted(maps.Keys(values))
	h := sha256.New()
	for _, pcr := range pcrs {
		h.Write(values[pcr])
	}
	step := tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)}, Pcrs: selection(b, pcrs)}
	if err := step.Update(calculator); err != nil {
		return nil, err
	}
	return calculator.Hash().Digest, nil
}

// currentPolicy is pcrPolicy of the values that the PCRs have now.
func (t *TPM) currentPolicy(b bank, pcrs []int) ([]byte, error) {
	values, err := t.PCRs(b.name, pcrs)
	if err != nil {
		return nil, err
	}
	return pcrPolicy(b, values)
}

// walkPolicy starts a policy session under the storage key, takes it through the
// policy, and returns it with the digest that the TPM has come to. What the
// session authorizes comes back encrypted.
func (t *TPM) walkPolicy(parent storageKey, b bank, pcrs []int) (tpm2.Session, []byte, error) {
	session, _, err := tpm2.PolicySession(t.link, tpm2.TPMAlgSHA256, nonceSize,
		tpm2.Salted(parent.handle, parent.public), tpm2.AESEncryption(128, tpm2.EncryptOut))
	if err != nil {
		return nil, nil, failed("start a policy session", err)
	}
	if len(pcrs) > 0 {
		step := tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection(b, pcrs)}
		if _, err := step.Execute(t.link); err != nil {
			return nil, nil, failed("bind a policy session to PCRs "+pcrList(pcrs), err)
		}
	}
	rsp, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(t.link)
	if err != nil {
		return nil, nil, failed("ask for a policy digest", err)
	}
	return session, rsp.PolicyDigest.Buffer, nil
}

// policyMismatch says which PCRs may have changed. The digest does not tell one of
// several from another; where it is one, it is that one.
func policyMismatch(b bank, pcrs []int) error {
	switch len(pcrs) {
	case 0:
		return fmt.Errorf("%w: the token names no PCRs, and its policy is not the empty one", ErrPolicy)
	case 1:
		return fmt.Errorf("%w: PCR %d (%s) has changed since sealing", ErrPolicy, pcrs[0], b.name)
	}
	return fmt.Errorf("%w: at least one of PCRs %s (%s) has changed since sealing", ErrPolicy, pcrList(pcrs), b.name)
}
