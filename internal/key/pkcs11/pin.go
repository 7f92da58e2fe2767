package pkcs11

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
)

// pinCredential is where systemd-cryptsetup, too, finds the PIN of a token.
const pinCredential = definitions.SourceCredential + ":cryptsetup.pkcs11-pin"

// tries is what a token says of the PINs it still takes.
type tries struct{ last, locked, fewer bool }

// spoken names them, "" where it says nothing.
func (t tries) spoken() string {
	switch {
	case t.locked:
		return "the token is locked now"
	case t.last:
		return "one try is left"
	case t.fewer:
		return "fewer tries are left than there were"
	}
	return ""
}

// allow reports whether a PIN may be tried; the last try is a person's.
func (t tries) allow(p place, typed bool) error {
	switch {
	case t.locked:
		return p.fail(ErrLocked, "")
	case t.last && !typed:
		return p.fail(ErrLastTry, "it was not given by a person")
	}
	return nil
}

// pin is a PIN and whether a person has just typed it.
type pin struct {
	text  *secret.Buffer
	typed bool
}

// pinOf tells PINs apart.
//
// What is read from a file or a pipe is the same for all that name it; what somebody types is
// for one key.
type pinOf struct{ uri, source, sum string }

// login says what a PIN is for.
type login bool

// A token is logged into once, and then again for each use of a key that wants that
// (CKA_ALWAYS_AUTHENTICATE, as the signature key of a PIV card has).
const (
	forSession   login = false
	forOperation login = true
)

// readPIN returns the PIN of a token, which stays the Sealer's: from where source says,
// from the credential, or from whoever sits at the terminal.
func (s *Sealer) readPIN(ctx context.Context, p place, source, sum string) (pin, error) {
	of := pinOf{p.uri, source, ""}
	if source == "" || source == definitions.SourceAsk {
		of.sum = sum
	}
	if kept, ok := s.kept[of]; ok {
		return kept, nil
	}
	given, err := s.newPIN(ctx, p, source)
	if err != nil {
		return pin{}, fmt.Errorf("%s: PIN: %w", p.uri, err)
	}
	s.kept[of] = given
	return given, nil
}

// newPIN reads a PIN that was not read yet.
func (s *Sealer) newPIN(ctx context.Context, p place, source string) (pin, error) {
	prompt := "PIN of the token " + strings.ToValidUTF8(p.uri, "?") + ": "
	if source != "" {
		text, err := s.secret(ctx, source, prompt)
		return pin{withoutEnd(text), source == definitions.SourceAsk}, err
	}
	if text, err := s.secret(ctx, pinCredential, prompt); err == nil {
		return pin{text: withoutEnd(text)}, nil
	}
	text, err := s.secret(ctx, definitions.SourceAsk, prompt)
	return pin{withoutEnd(text), true}, err
}

// withoutEnd cuts a line's end off, which files have and PINs do not.
func withoutEnd(text *secret.Buffer) *secret.Buffer {
	if text == nil {
		return nil
	}
	n := len(text.Bytes())
	for n > 0 && (text.Bytes()[n-1] == '\n' || text.Bytes()[n-1] == '\r') {
		n--
	}
	return text.Cut(n)
}
