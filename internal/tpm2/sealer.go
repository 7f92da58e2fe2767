package tpm2

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// secretSize is the length of the sealed secret, as systemd's tools have it.
const secretSize = 32

// Sealer is the executor.Sealer of keys of type tpm2.
type Sealer struct {
	Device string // as for Open
	// PIN is the key source of the PIN of tokens that are there already; "": those that
	// want one are not tried.
	PIN string
	// ReadPIN returns what a key source holds; fresh says that it is the PIN of a key in
	// the making. The same source is asked for more than once.
	ReadPIN func(ctx context.Context, source string, fresh bool) (*secret.Buffer, error)
}

// Kind returns "tpm2".
func (Sealer) Kind() string { return definitions.KeyTPM2 }

// TokenType returns "systemd-tpm2".
func (Sealer) TokenType() string { return tokenType }

// Seal makes a random secret, seals it as key says, and returns the passphrase
// that comes of it.
func (s Sealer) Seal(ctx context.Context, key definitions.Key) (executor.Sealed, error) {
	pin, err := s.readPIN(ctx, key.PIN, true)
	if err != nil {
		return executor.Sealed{}, err
	}
	defer pin.Wipe()
	tpm, err := Open(s.Device)
	if err != nil {
		return executor.Sealed{}, err
	}
	defer tpm.Close()
	random, err := secret.Random(secretSize, rand.Reader)
	if err != nil {
		return executor.Sealed{}, err
	}
	defer random.Wipe()
	token, err := tpm.Seal(random.Bytes(), Binding{PCRs: key.PCRs, Bank: key.Bank, PIN: pinBytes(pin)})
	if err != nil {
		return executor.Sealed{}, err
	}
	raw, err := json.Marshal(token)
	if err != nil {
		return executor.Sealed{}, err
	}
	passphrase, err := random.Base64()
	return executor.Sealed{Passphrase: passphrase, Token: raw, KDF: luks2.TokenKDF()}, err
}

// Unseal returns the passphrase that a token guards. The PIN is the key's, where it
// says one, as it does when a new key is proven.
func (s Sealer) Unseal(ctx context.Context, key definitions.Key, raw []byte) (*secret.Buffer, error) {
	token, err := ParseToken(raw)
	if err != nil {
		return nil, err
	}
	pin, err := s.pinFor(ctx, token, key)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	tpm, err := Open(s.Device)
	if err != nil {
		return nil, err
	}
	defer tpm.Close()
	plain, err := tpm.Unseal(token, pinBytes(pin))
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(plain)
	return secret.Take(Passphrase(plain))
}

// pinFor returns the PIN of a token, nil where it wants none or none is given. One that
// could not be used anyhow is not asked for.
func (s Sealer) pinFor(ctx context.Context, token Token, key definitions.Key) (*secret.Buffer, error) {
	if _, err := token.plainObject(); err != nil || !token.PIN {
		return nil, err
	}
	if key.PIN != "" {
		return s.readPIN(ctx, key.PIN, true)
	}
	return s.readPIN(ctx, s.PIN, false)
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
