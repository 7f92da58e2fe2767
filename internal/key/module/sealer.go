package module

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

const (
	secretSize = 32 // bytes
	// maxSecret bounds what a module may say the secret is.
	maxSecret = 4 << 10
)

// Sealer is the key.Sealer of keys of type command.
type Sealer struct {
	Known []definitions.Key // of the definitions, whose programs are taken for their names
	Dirs  []string          // Directories, unless in tests
}

// Kind returns "command".
func (Sealer) Kind() string { return definitions.KeyCommand }

// TokenType returns "sealpart-command".
func (Sealer) TokenType() string { return TokenType }

// Seal has the module lock a new secret.
func (s Sealer) Seal(ctx context.Context, k definitions.Key) (key.Sealed, error) {
	raw, err := secret.Random(secretSize, rand.Reader)
	if err != nil {
		return key.Sealed{}, err
	}
	defer raw.Wipe()
	passphrase, err := raw.Base64()
	if err != nil {
		return key.Sealed{}, err
	}
	lock := callOf(k, "lock", passphrase.Bytes(), maxBlob)
	lock.args = append(lock.args, k.Arguments...)
	blob, err := lock.run(ctx)
	if err != nil {
		passphrase.Wipe()
		return key.Sealed{}, err
	}
	defer blob.Wipe()
	text, err := json.Marshal(token{Type: TokenType, Keyslots: []string{}, Module: filepath.Base(k.Program), Blob: blob.Bytes()})
	return key.Sealed{Passphrase: passphrase, Token: text, KDF: luks2.TokenKDF()}, err
}

// Unseal has the module that a token names unlock its blob.
func (s Sealer) Unseal(ctx context.Context, k definitions.Key, raw []byte) (*secret.Buffer, error) {
	t, err := parseToken(raw)
	if err != nil {
		return nil, err
	}
	if filepath.Base(k.Program) != t.Module {
		if k, err = s.module(t.Module); err != nil {
			return nil, err
		}
	}
	return callOf(k, "unlock", t.Blob, maxSecret).run(ctx)
}

// module returns the key of the definitions whose program has a name, else the one that
// is installed.
func (s Sealer) module(name string) (definitions.Key, error) {
	for _, k := range s.Known {
		if k.Type == definitions.KeyCommand && filepath.Base(k.Program) == name {
			return k, nil
		}
	}
	path, err := find(s.Dirs, name)
	return definitions.Key{Type: definitions.KeyCommand, Program: path, Timeout: definitions.CommandTimeout}, err
}

// callOf returns the call of a key's module.
func callOf(k definitions.Key, verb string, input []byte, limit int) call {
	return call{
		program: k.Program, args: []string{verb}, input: input, limit: limit,
		timeout: time.Duration(k.Timeout) * time.Second, retries: k.Retries,
	}
}
