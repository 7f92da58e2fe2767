package tpm2

import (
	"bytes"
	"fmt"

	"github.com/google/go-tpm/tpm2"
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
}

// Seal binds a secret of 1 to 128 bytes to this TPM and to the values that the
// PCRs have now. The token has no keyslot yet. It stores nothing in the TPM. A
// bank that the TPM does not keep is ErrUnsupported.
func (t *TPM) Seal(secret []byte, b Binding) (Token, error) {
	defer t.release()
	alg, err := t.storageAlg()
	if err != nil {
		return Token{}, err
	}
	return t.sealUnder(alg, secret, b)
}

func (t *TPM) sealUnder(alg string, secret []byte, b Binding) (Token, error) {
	if len(secret) < 1 || len(secret) > maxSecret {
		return Token{}, fmt.Errorf("seal a secret of %d bytes: want 1 to %d", len(secret), maxSecret)
	}
	kept, err := t.bindingBank(b)
	if err != nil {
		return Token{}, err
	}
	parent, err := t.makeStorageKey(alg)
	if err != nil {
		return Token{}, err
	}
	pcrs := normalPCRs(b.PCRs)
	policy, err := t.agreedPolicy(parent, kept, pcrs)
	if err != nil {
		return Token{}, err
	}
	blob, err := t.create(parent, secret, policy)
	if err != nil {
		return Token{}, err
	}
	return Token{
		Blobs: [][]byte{blob}, PolicyHashes: [][]byte{policy},
		PCRs: pcrs, Bank: kept.name, PrimaryAlg: alg,
	}, nil
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
func (t *TPM) agreedPolicy(parent storageKey, b bank, pcrs []int) ([]byte, error) {
	ours, err := t.currentPolicy(b, pcrs)
	if err != nil {
		return nil, err
	}
	_, theirs, err := t.walkPolicy(parent, b, pcrs)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(ours, theirs) {
		return nil, fmt.Errorf("seal to PCRs %s (%s): the TPM's policy digest is %x, ours %x: did a PCR change in between?",
			pcrList(pcrs), b.name, theirs, ours)
	}
	return ours, nil
}

// create has the TPM make the sealed object. Without userWithAuth only the policy
// opens it; with noDA, failed authorizations elsewhere do not keep it shut.
func (t *TPM) create(parent storageKey, secret, policy []byte) ([]byte, error) {
	handle, err := t.authorize(parent)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Create{
		ParentHandle: handle,
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:             tpm2.TPMAlgKeyedHash,
			NameAlg:          tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(t.link)
	if err != nil {
		return nil, failed("seal the secret", err)
	}
	return sealedObject{private: rsp.OutPrivate.Buffer, public: rsp.OutPublic.Bytes()}.marshal(), nil
}
