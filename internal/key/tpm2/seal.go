package tpm2

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxSecret is MAX_SYM_DATA, the most that a sealed object holds in every TPM.
const maxSecret = 128

// Binding says what a secret is bound to beside this TPM.
type Binding struct {
	// PCRs whose values must not change; none binds to the TPM alone.
	PCRs []int
	// Values are those that PCRs among them will have; the others must stay as they are.
	Values map[int][]byte
	// Bank they are read in; "" is the first of sha256, sha384, sha512 and sha1
	// that the TPM keeps, among those in which most of the PCRs were measured into.
	Bank string
	// PIN is asked for each time; none where it is empty. It stays the caller's.
	PIN []byte
	// PublicKey is the PEM text of the RSA key that signs which values PublicKeyPCRs may
	// have; nil: none.
	PublicKey     []byte
	PublicKeyPCRs []int
	// PCRLock is the path of a policy of systemd-pcrlock, or Auto; "": none.
	PCRLock string
	// Newest is the form of the newest systemd: under a persistent storage key, and with a
	// PIN hardened with Argon2id. Otherwise it is the form that every systemd since 250 reads.
	Newest bool
	// AllowBlank puts up with what binds to nothing but the TPM.
	AllowBlank bool
	// SRK is the handle of the persistent storage key; 0 is 0x81000001, where it is made
	// if it is not there. Newest only.
	SRK uint32
}

// token is the token of the binding, without what is sealed.
func (b Binding) token() Token {
	tok := Token{PCRs: normalPCRs(b.PCRs), Bank: b.Bank, PIN: len(b.PIN) > 0}
	if b.PublicKey != nil {
		tok.PublicKey, tok.PublicKeyPCRs = b.PublicKey, normalPCRs(b.PublicKeyPCRs)
	}
	if tok.PIN && b.Newest {
		tok.Hardening, tok.Salt = defaultHardening, make([]byte, saltSize)
		rand.Read(tok.Salt)
	}
	return tok
}

// shardCount is into how many sealed objects a secret is divided.
func (tok Token) shardCount() int {
	if len(tok.PublicKey) > 0 && tok.PCRLock {
		return 2
	}
	return 1
}

// Seal binds a secret of 1 to 128 bytes to this TPM and to the values that the
// PCRs have now; where that is nothing, ErrBlank. The token has no keyslot yet. In the TPM it stores nothing, but for the
// storage root key where b.Newest asks for it and there is none. A bank that the TPM
// does not keep is ErrUnsupported. For a policy of pcrlock and a signed one at once the
// secret is divided, and its length must be even.
func (t *TPM) Seal(plain []byte, b Binding) (Token, error) {
	defer t.release()
	parent, err := t.parentFor(b)
	if err != nil {
		return Token{}, err
	}
	return t.sealUnder(parent, plain, b)
}

// parentFor finds or makes the storage key of a binding.
func (t *TPM) parentFor(b Binding) (storageKey, error) {
	if b.Newest && b.SRK != 0 {
		return t.sharedStorageKey(b.SRK)
	}
	if b.Newest {
		return t.sharedStorageKey(defaultSRK)
	}
	alg, err := t.storageAlg()
	if err != nil {
		return storageKey{}, err
	}
	return t.makeStorageKey(storageTemplate(alg))
}

func (t *TPM) sealUnder(parent storageKey, plain []byte, b Binding) (Token, error) {
	tok, err := t.begin(parent, b)
	if err != nil {
		return Token{}, err
	}
	if len(plain) < 1 || len(plain) > maxSecret || len(plain)%tok.shardCount() != 0 {
		return Token{}, fmt.Errorf("seal a secret of %d bytes: want 1 to %d, in %d parts", len(plain), maxSecret, tok.shardCount())
	}
	key, err := tok.pinKey(t.link.ctx, b.PIN)
	if err != nil {
		return Token{}, err
	}
	defer key.wipe()
	all, err := t.termsOf(tok, key.auth)
	if err != nil {
		return Token{}, err
	}
	values, err := t.PCRs(tok.Bank, tok.PCRs)
	if err != nil {
		return Token{}, err
	}
	if err := t.checkBound(b, tok.Bank, all, overlaid(values, b.Values)); err != nil {
		return Token{}, err
	}
	part := len(plain) / len(all)
	for i, want := range all {
		if err := t.sealShard(&tok, parent, want, plain[i*part:(i+1)*part], values, b.Values); err != nil {
			return Token{}, err
		}
	}
	return tok, tok.noteValues(overlaid(values, b.Values))
}

// sealShard seals one part of the secret, and adds it to the token.
func (t *TPM) sealShard(tok *Token, parent storageKey, want terms, part []byte, values, given map[int][]byte) error {
	if want.signer == nil && want.lock == nil {
		if err := t.checkAgreed(parent, want, values); err != nil {
			return err
		}
	}
	policy, err := want.digest(overlaid(values, given))
	if err != nil {
		return err
	}
	blob, err := t.create(parent, part, policy, want.auth)
	if err != nil {
		return err
	}
	tok.Blobs, tok.PolicyHashes = append(tok.Blobs, blob), append(tok.PolicyHashes, policy)
	return nil
}

// overlaid puts given values over those of now.
func overlaid(now, given map[int][]byte) map[int][]byte {
	values := map[int][]byte{}
	for pcr, value := range now {
		values[pcr] = value
	}
	for pcr, value := range given {
		values[pcr] = value
	}
	return values
}

// begin makes the token of a binding: all of it but what is sealed.
func (t *TPM) begin(parent storageKey, b Binding) (Token, error) {
	kept, err := t.bindingBank(b)
	if err != nil {
		return Token{}, err
	}
	tok := b.token()
	tok.Bank, tok.PrimaryAlg, tok.SRK = kept.name, parent.alg(), parent.srk
	if b.PCRLock != "" {
		t.Search.PCRLock = b.PCRLock
		policy, err := t.Search.pcrLock(b.PCRLock)
		if err != nil {
			return Token{}, err
		}
		tok.PCRLock, tok.PCRLockNV = true, policy.nvHandle
	}
	return tok, nil
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
	kept, err := t.chooseBank(preferred...)
	if err != nil {
		return bank{}, err
	}
	return t.measuredBank(kept, b.measured())
}

// checkAgreed compares the policy of the PCRs' current values as we compute it with what
// the TPM comes to: a secret must not be sealed to a digest that this TPM never reaches.
// For signed policies and those of pcrlock, which may not hold now, unsealing shows it.
func (t *TPM) checkAgreed(parent storageKey, want terms, values map[int][]byte) error {
	ours, err := want.digest(values)
	if err != nil {
		return err
	}
	session, theirs, err := t.walkPolicy(parent, want)
	if err != nil {
		return err
	}
	session.wipe()
	if !bytes.Equal(ours, theirs) {
		return fmt.Errorf("seal to PCRs %s (%s): the TPM's policy digest is %x, ours %x: did a PCR change in between?",
			pcrList(want.pcrs), want.bank.name, theirs, ours)
	}
	return nil
}

// create has the TPM make the sealed object. Without userWithAuth only the policy
// opens it; with noDA, failed authorizations elsewhere do not keep it shut. An object
// with a PIN does without noDA: there the TPM must count.
func (t *TPM) create(parent storageKey, plain, policy, auth []byte) ([]byte, error) {
	handle, done, err := t.authorize(parent)
	if err != nil {
		return nil, err
	}
	defer done()
	handle.Auth = filled{handle.Auth, auth, plain}
	rsp, err := tpm2.Create{
		ParentHandle: handle,
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: make([]byte, len(auth))},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: make([]byte, len(plain))}),
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
