//go:build !cgo

package pkcs11

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
)

// Built reports whether this program can load PKCS#11 modules.
const Built = false

// card stands for a token; without cgo there is none, and openCard says so.
type card struct{ terms terms }

func openCard(where place, _ terms, _ []string) (*card, error) {
	return nil, where.fail(ErrNotBuilt, "")
}

func (*card) public() (any, error)                               { return nil, ErrNotBuilt }
func (*card) chosen() (string, bool)                             { return "", false }
func (*card) choose() (bool, error)                              { return false, ErrNotBuilt }
func (*card) padding() string                                    { return paddingV15 }
func (*card) unwrap(token, func() error) (*secret.Buffer, error) { return nil, ErrNotBuilt }
func (*card) wantsPIN() bool                                     { return false }
func (*card) identity() string                                   { return "" }
func (*card) hasPINPad() bool                                    { return false }
func (*card) tries() tries                                       { return tries{} }
func (*card) login(login, []byte) error                          { return ErrNotBuilt }
func (*card) close()                                             {}

func provisionCard(where place, _ terms, _ string, _ definitions.Key, _ func() ([]byte, error)) error {
	return where.fail(ErrNotBuilt, "")
}
