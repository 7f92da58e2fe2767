package tpm2

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// secretSize is the length of the sealed secret, as systemd's tools have it.
const secretSize = 32

// Sealer is the key.Sealer of keys of type tpm2.
type Sealer struct {
	Device string // as for Open
	Search Search // of the files that go with policies
	// PIN is the key source of the PIN of tokens that are there already; "": those that
	// want one are not tried.
	PIN string
	// SlotPINs are those of the tokens of one keyslot each, by its number. What PIN names is
	// not tried on these.
	SlotPINs map[int]string
	// Warn is told what somebody should know about a key that is made; nil: nobody.
	Warn func(string)
	// ReadPIN returns what a key source holds; fresh says that it is the PIN of a key in
	// the making. The same source is asked for more than once.
	ReadPIN func(ctx context.Context, source string, fresh bool) (*secret.Buffer, error)
	// Refused are the PINs that the TPM has refused; nil: nobody keeps them.
	Refused *Refusals
}

// Kind returns "tpm2".
func (Sealer) Kind() string { return definitions.KeyTPM2 }

// TokenType returns "systemd-tpm2".
func (Sealer) TokenType() string { return tokenType }

// Seal makes a random secret, seals it as key says, and returns the passphrase
// that comes of it.
func (s Sealer) Seal(ctx context.Context, k definitions.Key) (key.Sealed, error) {
	if !s.There(ctx, k) { // before a PIN is asked for that nothing needs
		return key.Sealed{}, fmt.Errorf("TPM device %q: %w", s.Device, ErrNoTPM)
	}
	pin, err := s.readPIN(ctx, k.PIN, true)
	if err != nil {
		return key.Sealed{}, err
	}
	defer pin.Wipe()
	binding, err := s.binding(k, pinBytes(pin))
	if err != nil {
		return key.Sealed{}, err
	}
	size := secretSize
	if binding.PCRLock != "" && binding.PublicKey != nil {
		size = 2 * secretSize
	}
	random, err := secret.Random(size, rand.Reader)
	if err != nil {
		return key.Sealed{}, err
	}
	defer random.Wipe()
	token, unproven, err := s.seal(ctx, k, random.Bytes(), binding)
	if err != nil {
		return key.Sealed{}, err
	}
	passphrase, err := token.passphrase(ctx, random.Bytes(), binding.PIN)
	if err != nil {
		return key.Sealed{}, err
	}
	raw, err := json.Marshal(token)
	return key.Sealed{
		Passphrase: passphrase, Token: raw, KDF: luks2.TokenKDF(),
		Unproven: unproven, NotAlone: binding.PublicKey != nil && k.DeviceKey == "",
	}, err
}

// seal seals to the TPM that is here, or to the one whose key is. unproven says why the
// secret cannot be unsealed now, "" where it can.
func (s Sealer) seal(ctx context.Context, k definitions.Key, plain []byte, b Binding) (token Token, unproven string, err error) {
	if k.DeviceKey != "" {
		device, err := readFile(resolve.Tree{Trusted: true}, k.DeviceKey)
		if err != nil {
			return Token{}, "", fmt.Errorf("device key: %w", err)
		}
		token, err = SealOffline(ctx, plain, b, device)
		return token, "it is sealed to the TPM of " + k.DeviceKey, err
	}
	tpm, err := s.open(ctx)
	if err != nil {
		return Token{}, "", err
	}
	defer tpm.Close()
	if token, err = tpm.Seal(plain, b); err != nil {
		return token, "", err
	}
	unproven, err = tpm.unproven(token, b)
	return token, unproven, err
}

// unproven says why what was sealed cannot be unsealed now by its own binding, "" where it can.
func (t *TPM) unproven(token Token, b Binding) (unproven string, err error) {
	if b.PublicKey != nil {
		by, err := newSigner(b.PublicKey, b.PublicKeyPCRs, "")
		if err != nil {
			return "", err
		}
		if unproven, err = t.unsigned(by, token.Bank); err != nil || unproven != "" {
			return unproven, err
		}
	}
	if len(b.Values) == 0 {
		return "", nil
	}
	now, err := t.PCRs(token.Bank, slices.Collect(maps.Keys(b.Values)))
	for _, pcr := range slices.Sorted(maps.Keys(b.Values)) {
		if !bytes.Equal(now[pcr], b.Values[pcr]) {
			unproven = fmt.Sprintf("PCR %d has not the value yet that it is sealed to", pcr)
		}
	}
	return unproven, err
}

// binding reads the files that a key names.
func (s Sealer) binding(k definitions.Key, pin []byte) (b Binding, err error) {
	b = Binding{
		PCRs: k.PCRs, Bank: k.Bank, PIN: pin, PublicKeyPCRs: k.PublicKeyPCRs, PCRLock: k.PCRLock, SRK: k.SRK,
		Newest: k.Format == definitions.FormatNewest, AllowBlank: k.AllowsBlank(),
	}
	for pcr, value := range k.PCRValues {
		if b.Values == nil {
			b.Values = map[int][]byte{}
		}
		if b.Values[pcr], err = hex.DecodeString(value); err != nil {
			return b, err
		}
	}
	if k.PublicKey != "" {
		if b.PublicKey, err = s.Search.publicKey(k.PublicKey); err != nil {
			return b, fmt.Errorf("public key: %w", err)
		}
	}
	if b.PCRLock == Auto {
		_, err = s.Search.pcrLock(s.Search.PCRLock)
		if b.PCRLock = cmp.Or(s.Search.PCRLock, Auto); errors.Is(err, fs.ErrNotExist) {
			b.PCRLock, err = "", s.without(b)
		}
	}
	return b, err
}

// without refuses a key that was to be bound to a policy of pcrlock where there is none,
// unless it is bound to something else.
func (s Sealer) without(b Binding) error {
	const none = "there is no policy of systemd-pcrlock here"
	if b.PCRLock = ""; !b.conditional() && !b.AllowBlank {
		return &blankError{none, `"systemd-pcrlock make-policy" makes one; or ` + bindElse}
	}
	if s.Warn != nil {
		s.Warn("a TPM key is bound without it: " + none)
	}
	return nil
}

// open connects to the TPM.
func (s Sealer) open(ctx context.Context) (*TPM, error) {
	tpm, err := Open(ctx, s.Device)
	if err == nil {
		tpm.Search, tpm.Warn = s.Search, s.Warn
	}
	return tpm, err
}

// passphrase makes the passphrase of what is sealed.
func (tok Token) passphrase(ctx context.Context, plain, pin []byte) (*secret.Buffer, error) {
	k, err := tok.pinKey(ctx, pin)
	if err != nil {
		return nil, err
	}
	defer k.wipe()
	whole := k.finish(plain)
	defer secret.Wipe(whole)
	return secret.Take(Passphrase(whole))
}

// Unseal returns the passphrase that a token guards. The PIN is the key's, where it
// says one, as it does when a new key is proven.
func (s Sealer) Unseal(ctx context.Context, k definitions.Key, raw []byte) (*secret.Buffer, error) {
	token, err := ParseToken(raw)
	if err != nil {
		return nil, err
	}
	pin, err := s.pinFor(ctx, token, k)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	if s.Refused.has(pin) {
		return nil, fmt.Errorf("%w: the TPM refused it before, and it is not offered again", ErrPIN)
	}
	tpm, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer tpm.Close()
	plain, err := tpm.Unseal(token, pinBytes(pin))
	if errors.Is(err, ErrPIN) {
		s.Refused.add(pin)
	}
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(plain)
	return secret.Take(Passphrase(plain))
}

// pinFor returns the PIN of a token, nil where it wants none or none is given. One that
// could not be used anyhow is not asked for.
func (s Sealer) pinFor(ctx context.Context, token Token, k definitions.Key) (*secret.Buffer, error) {
	if _, err := token.objects(); err != nil || !token.PIN {
		return nil, err
	}
	if k.PIN != "" {
		return s.readPIN(ctx, k.PIN, true)
	}
	source := s.PIN
	for _, slot := range token.Keyslots {
		if own := s.SlotPINs[slot]; own != "" {
			source = own
		}
	}
	return s.readPIN(ctx, source, false)
}

// readPIN returns the PIN of a key source, nil for none.
func (s Sealer) readPIN(ctx context.Context, source string, fresh bool) (*secret.Buffer, error) {
	switch {
	case source == "":
		return nil, nil
	case s.ReadPIN == nil:
		return nil, ErrNoPIN
	}
	pin, err := s.ReadPIN(ctx, source, fresh)
	if err != nil {
		return nil, fmt.Errorf("PIN: %w", err)
	}
	return pin, nil
}

// pinBytes are those of a PIN, none where there is none.
func pinBytes(pin *secret.Buffer) []byte {
	if pin == nil {
		return nil
	}
	return pin.Bytes()
}
