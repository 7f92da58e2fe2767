package pkcs11

import (
	"context"
	"crypto/ecdh"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// Sealer is the key.Sealer of keys of type pkcs11.
type Sealer struct {
	known   []definitions.Key
	pin     string // key source of the PIN, "" for that of the definition
	secret  func(ctx context.Context, source, prompt string) (*secret.Buffer, error)
	refused map[string]bool // tokens, as identity tells them, whose PIN was wrong
	kept    map[pinOf]pin   // that were read: a pipe gives one only once, and nobody types it for every volume
	// Unseen is set where nobody has seen to it that the right token is in, as in a boot. Then
	// a PIN goes only to a token that shows a key which the definition names by its
	// fingerprint, or, where the definition has the token made, to one that is part of the
	// machine.
	Unseen bool
}

// NewSealer returns one that takes the module and the PIN of a token on a disk from the
// definition with the same URI; from, where it is set, is the source of every PIN. source reads key sources; it asks with the prompt.
func NewSealer(known []definitions.Key, from string, source func(ctx context.Context, source, prompt string) (*secret.Buffer, error)) *Sealer {
	return &Sealer{known: known, pin: from, secret: source, refused: map[string]bool{}, kept: map[pinOf]pin{}}
}

// Forget wipes the PINs that were kept.
func (s *Sealer) Forget() {
	for _, kept := range s.kept {
		kept.text.Wipe()
	}
	clear(s.kept)
}

// Kind returns "pkcs11".
func (*Sealer) Kind() string { return definitions.KeyPKCS11 }

// TokenType returns "systemd-pkcs11".
func (*Sealer) TokenType() string { return tokenType }

// Seal makes a secret that the token's private key brings back.
func (s *Sealer) Seal(ctx context.Context, k definitions.Key) (key.Sealed, error) {
	where, err := parsePlace(k.URI)
	if err != nil {
		return key.Sealed{}, err
	}
	k = s.complete(where, k.KeySHA256, k)
	t, err := s.toSeal(where, k)
	if err != nil {
		return key.Sealed{}, err
	}
	if k.Provision {
		if err := s.provision(ctx, where, t, k); err != nil {
			return key.Sealed{}, err
		}
	}
	c, err := s.open(where, t, k)
	if err != nil {
		return key.Sealed{}, err
	}
	defer c.close()
	w, err := s.wrap(ctx, c, where, k)
	if k.Provision && errors.Is(err, ErrNoObject) {
		err = where.fail(ErrTaken, "")
	}
	if err != nil {
		return key.Sealed{}, err
	}
	defer w.secret.Wipe()
	raw, err := json.Marshal(token{Type: tokenType, Keyslots: []string{}, URI: where.uri, Key: w.key, Padding: w.padding, Fingerprint: w.fingerprint})
	if err != nil {
		return key.Sealed{}, err
	}
	passphrase, err := w.secret.Base64()
	return key.Sealed{Passphrase: passphrase, Token: raw, KDF: luks2.TokenKDF()}, err
}

// wrap finds the public key, without the PIN where the token shows it to everybody.
func (s *Sealer) wrap(ctx context.Context, c *card, where place, k definitions.Key) (wrapped, error) {
	if _, missing := c.chosen(); missing {
		if err := s.enter(ctx, c, where, k); err != nil {
			return wrapped{}, err
		}
	}
	public, err := c.public()
	if err != nil && c.wantsPIN() {
		if err := s.enter(ctx, c, where, k); err != nil {
			return wrapped{}, err
		}
		public, err = c.public()
	}
	if err != nil {
		return wrapped{}, err
	}
	var w wrapped
	switch k := public.(type) {
	case *rsa.PublicKey:
		w, err = wrapRSA(k, c.padding())
	case *ecdh.PublicKey:
		w, err = wrapEC(k)
	default:
		err = where.fail(ErrKey, "%T", public)
	}
	if err == nil {
		w.fingerprint, err = fingerprint(public)
	}
	return w, err
}

// Unseal has the token bring back the passphrase that a LUKS2 token guards.
func (s *Sealer) Unseal(ctx context.Context, k definitions.Key, raw []byte) (*secret.Buffer, error) {
	t, where, err := parseToken(raw)
	if err != nil {
		return nil, err
	}
	inHeader := Fingerprint(raw)
	k = s.complete(where, inHeader, k)
	c, err := s.open(where, s.toOpen(where, k, inHeader), k)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := s.enter(ctx, c, where, k); err != nil {
		return nil, err
	}
	plain, err := c.unwrap(t, func() error { return s.login(ctx, c, where, k, forOperation) })
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	return plain.Base64()
}

// enter gives the token its PIN, where it wants one, and compares a key that it shows only
// then.
func (s *Sealer) enter(ctx context.Context, c *card, where place, k definitions.Key) error {
	if c.wantsPIN() {
		if err := s.login(ctx, c, where, k, forSession); err != nil {
			return err
		}
	}
	if _, missing := c.chosen(); !missing {
		return nil
	}
	if _, err := c.choose(); err != nil {
		return err
	}
	if _, missing := c.chosen(); missing {
		return where.fail(ErrOther, "")
	}
	return nil
}

// complete fills in what the definition with the same URI, and of the key with that
// fingerprint, says and key does not: a header names neither module nor PIN.
func (s *Sealer) complete(where place, sum string, k definitions.Key) definitions.Key {
	for _, known := range s.known {
		if known.URI != where.uri || sum != "" && known.KeySHA256 != "" && known.KeySHA256 != sum {
			continue
		}
		if k.Module == "" {
			k.Module = known.Module
		}
		if k.PIN == "" {
			k.PIN = known.PIN
		}
		break
	}
	return k
}

// open finds the token.
func (s *Sealer) open(where place, t terms, k definitions.Key) (*card, error) {
	modules, err := s.modules(where, k)
	if err != nil {
		return nil, err
	}
	return openCard(where, t, modules)
}

// modules returns those that may have the token.
func (s *Sealer) modules(where place, k definitions.Key) ([]string, error) {
	if !Built {
		return nil, where.fail(ErrNotBuilt, "")
	}
	modules, err := findModules(configDirs, k.Module)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where.uri, err)
	}
	if len(modules) == 0 {
		return nil, where.fail(ErrNoModule, "p11-kit has none configured%s", named(k.Module))
	}
	return modules, nil
}

func named(module string) string {
	if module == "" {
		return ""
	}
	return fmt.Sprintf(" of the name %q", module)
}

// There reports whether the token of a key is there and can be asked. It needs no PIN.
func (s *Sealer) There(_ context.Context, k definitions.Key) bool {
	where, err := parsePlace(k.URI)
	if err != nil {
		return true // Seal says what is wrong
	}
	t, err := s.toSeal(where, k)
	if err != nil {
		return true // as above
	}
	c, err := s.open(where, t, k)
	if err != nil {
		return false
	}
	c.close()
	return true
}

// login gives the token its PIN, or asks for it on the token itself. One that was refused
// is not tried again.
func (s *Sealer) login(ctx context.Context, c *card, where place, k definitions.Key, what login) error {
	sum, _ := c.chosen()
	if s.Unseen && !c.terms.named && !c.terms.fixed {
		return where.fail(ErrUnnamed, "and it would be given the PIN")
	}
	if s.refused[c.identity()] {
		return where.fail(ErrPIN, "it was refused before")
	}
	// Asked first, so that nobody types what would not be used.
	if err := c.tries().allow(where, true); err != nil {
		return err
	}
	from := k.PIN
	if s.pin != "" {
		from = s.pin
	}
	if from == "" && c.hasPINPad() {
		return s.noted(c, c.login(what, nil))
	}
	given, err := s.readPIN(ctx, where, from, sum)
	if err != nil {
		return err
	}
	if err := c.tries().allow(where, given.typed); err != nil {
		return err
	}
	return s.noted(c, c.login(what, given.text.Bytes()))
}

// noted remembers that a token has refused its PIN.
func (s *Sealer) noted(c *card, err error) error {
	s.refused[c.identity()] = err != nil
	return err
}
