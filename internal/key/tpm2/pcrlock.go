package tpm2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// A policy of systemd-pcrlock(8) says for each PCR which values it may have, and its digest
// lies in an NV index of the TPM. Who may write the index changes what opens a volume,
// and nothing is sealed anew.

// maxBranches is how many values a PCR may have: so many a PolicyOR takes. TPM 2.0 Library
// Part 3, 23.6.
const maxBranches = 8

// lockedPCR is a PCR and the values that it may have.
type lockedPCR struct {
	PCR    int        `json:"pcr"`
	Values []hexBytes `json:"values"`
}

// lockPolicy is what pcrlock.json says.
type lockPolicy struct {
	bank     bank
	pcrs     []lockedPCR // ascending
	index    uint32
	nvHandle []byte // the index as ESYS serialises it
}

// pcrLock is such a policy and the NV index in this TPM that holds its digest.
type pcrLock struct {
	lockPolicy
	index tpm2.NamedHandle
}

func parseLockPolicy(raw []byte) (lockPolicy, error) {
	var file struct {
		Bank     string      `json:"pcrBank"`
		Values   []lockedPCR `json:"pcrValues"`
		Index    uint32      `json:"nvIndex"`
		NVHandle []byte      `json:"nvHandle"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return lockPolicy{}, fmt.Errorf("policy of pcrlock: %w", err)
	}
	b, err := bankNamed(file.Bank)
	if err != nil {
		return lockPolicy{}, fmt.Errorf("policy of pcrlock: %w", err)
	}
	p := lockPolicy{bank: b, pcrs: file.Values, index: file.Index, nvHandle: file.NVHandle}
	slices.SortFunc(p.pcrs, func(a, b lockedPCR) int { return a.PCR - b.PCR })
	if err := p.check(); err != nil {
		return lockPolicy{}, fmt.Errorf("policy of pcrlock: %w", err)
	}
	return p, nil
}

// check is about what one can tell without a TPM.
func (p lockPolicy) check() error {
	hash, err := p.bank.alg.Hash()
	if err != nil {
		return err
	}
	if p.index>>24 != handleNV {
		return fmt.Errorf("nvIndex %#x is no NV index", p.index)
	}
	for i, l := range p.pcrs {
		if err := checkPCRs([]int{l.PCR}); err != nil {
			return err
		}
		if i > 0 && p.pcrs[i-1].PCR == l.PCR || len(l.Values) == 0 || len(l.Values) > maxBranches {
			return fmt.Errorf("PCR %d has %d values, or is there twice", l.PCR, len(l.Values))
		}
		for _, value := range l.Values {
			if len(value) != hash.Size() {
				return fmt.Errorf("PCR %d has a value of %d bytes, and those of %s have %d", l.PCR, len(value), p.bank.name, hash.Size())
			}
		}
	}
	return nil
}

// single are the PCRs with one value, several those with more.
func (p lockPolicy) single() map[int][]byte {
	values := map[int][]byte{}
	for _, l := range p.pcrs {
		if len(l.Values) == 1 {
			values[l.PCR] = l.Values[0]
		}
	}
	return values
}

func (p lockPolicy) several() []lockedPCR {
	return slices.DeleteFunc(slices.Clone(p.pcrs), func(l lockedPCR) bool { return len(l.Values) == 1 })
}

// branches returns for each of the PCRs with several values the digests that the policy
// can have after it, one for each of its values.
func (p lockPolicy) branches() (all [][][]byte, err error) {
	for _, l := range p.several() {
		var digests [][]byte
		for _, value := range l.Values {
			calculator, err := p.after(all)
			if err != nil {
				return nil, err
			}
			if err := addPCRs(calculator, p.bank, map[int][]byte{l.PCR: value}); err != nil {
				return nil, err
			}
			digests = append(digests, calculator.Hash().Digest)
		}
		all = append(all, digests)
	}
	return all, nil
}

// after is the policy after the PCRs that have these branches: first comes one PolicyPCR
// over all with one value, then for each of the others a PolicyPCR and a PolicyOR, which
// makes an end of what was before it.
func (p lockPolicy) after(branches [][][]byte) (*tpm2.PolicyCalculator, error) {
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if len(branches) == 0 {
		return calculator, addPCRs(calculator, p.bank, p.single())
	}
	return calculator, tpm2.PolicyOr{PHashList: digestList(branches[len(branches)-1])}.Update(calculator)
}

func digestList(digests [][]byte) tpm2.TPMLDigest {
	var list tpm2.TPMLDigest
	for _, d := range digests {
		list.Digests = append(list.Digests, tpm2.TPM2BDigest{Buffer: d})
	}
	return list
}

// numbers are the PCRs of the policy.
func (p lockPolicy) numbers() (pcrs []int) {
	for _, l := range p.pcrs {
		pcrs = append(pcrs, l.PCR)
	}
	return pcrs
}

// allows says which PCRs have values that the policy does not name.
func (p lockPolicy) allows(now map[int][]byte) error {
	var wrong []string
	for _, l := range p.pcrs {
		if !slices.ContainsFunc(l.Values, func(v hexBytes) bool { return bytes.Equal(v, now[l.PCR]) }) {
			wrong = append(wrong, fmt.Sprintf("PCR %d (%s) is %x now", l.PCR, p.bank.name, now[l.PCR]))
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("%w: %s, which the policy of pcrlock does not have; \"systemd-pcrlock make-policy\" makes it anew",
		ErrPolicy, strings.Join(wrong, ", "))
}

// lockAt finds the NV index of a policy in this TPM.
func (t *TPM) lockAt(p lockPolicy) (*pcrLock, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(p.index)}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, fmt.Errorf("%w: it has no NV index %#x, in which the policy of pcrlock was", ErrForeignTPM, p.index)
	}
	if err != nil {
		return nil, failed(fmt.Sprintf("read the NV index %#x", p.index), err)
	}
	return &pcrLock{p, tpm2.NamedHandle{Handle: tpm2.TPMHandle(p.index), Name: rsp.NVName}}, nil
}

// takeLock takes a policy session through the policy, and to what the NV index holds. TPM
// 2.0 Library Part 3, 23.22.
func (t *TPM) takeLock(session *policySession, l *pcrLock) error {
	now, err := t.PCRs(l.bank.name, l.numbers())
	if err != nil {
		return err
	}
	if err := l.allows(now); err != nil {
		return err
	}
	if err := t.takeLocked(session, l); err != nil {
		return failed("take a session through the policy of pcrlock", err)
	}
	_, err = tpm2.PolicyAuthorizeNV{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    l.index, PolicySession: session.Handle(),
	}.Execute(t.link)
	if err != nil {
		return fmt.Errorf("%w: pcrlock.json is not the policy that the NV index %#x holds: %w", ErrPolicy, l.lockPolicy.index, err)
	}
	return nil
}

// takeLocked takes a policy session through the PCRs.
func (t *TPM) takeLocked(session *policySession, l *pcrLock) error {
	pcrs := func(numbers ...int) error {
		if len(numbers) == 0 {
			return nil
		}
		_, err := tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection(l.bank, numbers)}.Execute(t.link)
		return err
	}
	var single []int
	for pcr := range l.single() {
		single = append(single, pcr)
	}
	if err := pcrs(single...); err != nil {
		return err
	}
	branches, err := l.branches()
	if err != nil {
		return err
	}
	for n, several := range l.several() {
		if err := pcrs(several.PCR); err != nil {
			return err
		}
		if _, err := (tpm2.PolicyOr{PolicySession: session.Handle(), PHashList: digestList(branches[n])}).Execute(t.link); err != nil {
			return err
		}
	}
	return nil
}
