package tpm2

import (
	"context"
	"crypto/rand"
	"encoding/json"

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
}

// Kind returns "tpm2".
func (Sealer) Kind() string { return definitions.KeyTPM2 }

// TokenType returns "systemd-tpm2".
func (Sealer) TokenType() string { return tokenType }

// Seal makes a random secret, seals it as key says, and returns the passphrase
// that comes of it.
func (s Sealer) Seal(_ context.Context, key definitions.Key) (executor.Sealed, error) {
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
	token, err := tpm.Seal(random.Bytes(), Binding{PCRs: key.PCRs, Bank: key.Bank})
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

// Unseal returns the passphrase that a token guards.
func (s Sealer) Unseal(_ context.Context, _ definitions.Key, raw []byte) (*secret.Buffer, error) {
	token, err := ParseToken(raw)
	if err != nil {
		return nil, err
	}
	tpm, err := Open(s.Device)
	if err != nil {
		return nil, err
	}
	defer tpm.Close()
	plain, err := tpm.Unseal(token)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(plain)
	return secret.Take(Passphrase(plain))
}
