package tpm2

import (
	"bytes"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/secret"
)

// maxSecret is MAX_SYM_DATA, the most that a sealed object holds in every TPM.
const maxSecret = 128

// Binding says what a secret is bound to beside this TPM.
type Binding struct {
	// PCRs whose values must not change; none binds to the TPM alone.
	PCRs []int
	// Bank they are read in; "" is the first of sha256, sha384, sha512 and sha1
	// that the TPM keeps.
	Bank string
	// PIN is asked for each time; none where it is empty. It stays the caller's.
	PIN []byte
}

// terms are what the binding asks for, with the PIN as every systemd since 251 reads it:
// without salt.
func (b Binding) terms(kept bank) terms {
	want := terms{bank: kept, pcrs: normalPCRs(b.PCRs)}
	if len(b.PIN) > 0 {
		want.auth = authValue(b.PIN, nil)
	}
	return want
}

// Seal binds a secret of 1 to 128 bytes to this TPM and to the values that the
// PCRs have now. The token has no keyslot yet. It stores nothing in the TPM. A
// bank that the TPM does not keep is ErrUnsupported.
func (t *TPM) Seal(plain []byte, b Binding) (Token, error) {
	defer t.release()
	alg, err := t.storageAlg()
	if err != nil {
		return Token{}, err
	}
	return t.sealUnder(alg, plain, b)
}

func (t *TPM) sealUnder(alg string, plain []byte, b Binding) (Token, error) {
	if len(plain) < 1 || len(plain) > maxSecret {
		return Token{}, fmt.Errorf("seal a secret of %d bytes: want 1 to %d", len(plain), maxSecret)
	}
	kept, err := t.bindingBank(b)
	if err != nil {
		return Token{}, err
	}
	parent, err := t.makeStorageKey(alg)
	if err != nil {
		return Token{}, err
	}
	want := b.terms(kept)
	defer secret.Wipe(want.auth)
	values, err := t.PCRs(kept.name, want.pcrs)
	if err != nil {
		return Token{}, err
	}
	policy, err := t.agreedPolicy(parent, want, values)
	if err != nil {
		return Token{}, err
	}
	blob, err := t.create(parent, plain, policy, want.auth)
	if err != nil {
		return Token{}, err
	}
	tok := Token{
		Blobs: [][]byte{blob}, PolicyHashes: [][]byte{policy},
		PCRs: want.pcrs, Bank: kept.name, PrimaryAlg: alg, PIN: want.auth != nil,
	}
	return tok, tok.noteValues(values)
}

func (t *TPM) bindingBank(b Binding) (bank, error) {
	if err := checkPCRs(b.PCRs); err != nil {
		return bank{}, err
	}
	if b.Bank != "" {
		if _, err := bankNamed(b.Bank); err != nil {
			return bank{}, err
		}
		return t.chooseBank(b.Bank)
	}
	var preferred []string
	for _, b := range banks {
		preferred = append(preferred, b.name)
	}
	return t.chooseBank(preferred...)
}

// agreedPolicy is the policy of the PCRs' current values as we compute it, once
// the TPM has come to the same: a secret must not be sealed to a digest that this
// TPM never reaches.
func (t *TPM) agreedPolicy(parent storageKey, want terms, values map[int][]byte) ([]byte, error) {
	ours, err := want.digest(values)
	if err != nil {
		return nil, err
	}
	session, theirs, err := t.walkPolicy(parent, want)
	if err != nil {
		return nil, err
	}
	session.wipe()
	if !bytes.Equal(ours, theirs) {
		return nil, fmt.Errorf("seal to PCRs %s (%s): the TPM's policy digest is %x, ours %x: did a PCR change in between?",
			pcrList(want.pcrs), want.bank.name, theirs, ours)
	}
	return ours, nil
}

// create has the TPM make the sealed object. Without userWithAuth only the policy
// opens it; with noDA, failed authorizations elsewhere do not keep it shut. An object
// with a PIN does without noDA: there the TPM must count.
func (t *TPM) create(parent storageKey, plain, policy, auth []byte) ([]byte, error) {
	handle, err := t.authorize(parent)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Create{
		ParentHandle: handle,
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: plain}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:             tpm2.TPMAlgKeyedHash,
			NameAlg:          tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: auth == nil},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(t.link)
	if err != nil {
		return nil, failed("seal the secret", err)
	}
	return sealedObject{private: rsp.OutPrivate.Buffer, public: rsp.OutPublic.Bytes()}.marshal(), nil
}
