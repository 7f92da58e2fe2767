//go:build !cgo

package pkcs11

// Built tells whether this program can load PKCS#11 modules.
const Built = false

// card stands for a token; without cgo there is none, and openCard says so.
type card struct{}

func openCard(where place, _ []string) (*card, error) { return nil, where.fail(ErrNotBuilt, "") }

func (*card) public() (any, error)         { return nil, ErrNotBuilt }
func (*card) padding() string              { return paddingV15 }
func (*card) unwrap(token) ([]byte, error) { return nil, ErrNotBuilt }
func (*card) wantsPIN() bool               { return false }
func (*card) hasPINPad() bool              { return false }
func (*card) tries() tries                 { return tries{} }
func (*card) login([]byte) error           { return ErrNotBuilt }
func (*card) close()                       {}
