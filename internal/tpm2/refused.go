package tpm2

import (
	"bytes"
	"sync"

	"github.com/sealpart/sealpart/internal/secret"
)

// Refusals are the PINs that a TPM has refused in this run. One mistyped PIN is one try of
// the TPM's, however many tokens want one: it is not offered again. The zero value is none.
type Refusals struct {
	mu   sync.Mutex
	pins []*secret.Buffer
}

// has reports whether a PIN was refused.
func (r *Refusals) has(pin *secret.Buffer) bool {
	if r == nil || pin == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pins {
		if bytes.Equal(p.Bytes(), pin.Bytes()) {
			return true
		}
	}
	return false
}

// add notes that a PIN was refused. It copies the PIN, into locked memory.
func (r *Refusals) add(pin *secret.Buffer) error {
	if r == nil || pin == nil {
		return nil
	}
	own, err := secret.New(len(pin.Bytes()))
	if err != nil {
		return err
	}
	copy(own.Bytes(), pin.Bytes())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pins = append(r.pins, own)
	return nil
}
