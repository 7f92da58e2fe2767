//go:build !cgo

package pkcs11

import "github.com/sealpart/sealpart/definitions"

// Built tells whether this program can load PKCS#11 modules.
const Built = false

// card stands for a token; without cgo there is none, and openCard says so.
type card struct{}

func openCard(where place, _ []string) (*card, error) { return nil, where.fail(ErrNotBuilt, "") }

func (*card) public() (any, error)                       { return nil, ErrNotBuilt }
func (*card) padding() string                            { return paddingV15 }
func (*card) unwrap(token, func() error) ([]byte, error) { return nil, ErrNotBuilt }
func (*card) wantsPIN() bool                             { return false }
func (*card) hasPINPad() bool                            { return false }
func (*card) tries() tries                               { return tries{} }
func (*card) login(login, []byte) error                  { return ErrNotBuilt }
func (*card) close()                                     {}

func provisionCard(where place, _ string, _ definitions.Key, _ func() ([]byte, error)) error {
	return where.fail(ErrNotBuilt, "")
}
