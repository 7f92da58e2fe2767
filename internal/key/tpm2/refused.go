package tpm2

import (
	"bytes"
	"crypto/rand"
	"slices"
	"sync"

	"github.com/sealpart/sealpart/internal/secret"
)

// Refusals are the PINs that a TPM has refused in this run. One mistyped PIN is one try of
// the TPM's, however many tokens want one: it is not offered again. The zero value is none. A
// mistyped PIN is nearly the right one, so none is kept, only its HMAC under a key of this run.
type Refusals struct {
	mu   sync.Mutex
	key  []byte
	sums [][]byte
}

// has reports whether a PIN was refused.
func (r *Refusals) has(pin *secret.Buffer) bool {
	if r == nil || pin == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := secret.HMAC256(r.key, pin.Bytes())
	return slices.ContainsFunc(r.sums, func(refused []byte) bool { return bytes.Equal(refused, sum) })
}

// add notes that a PIN was refused.
func (r *Refusals) add(pin *secret.Buffer) {
	if r == nil || pin == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.key == nil {
		r.key = make([]byte, 32)
		_, _ = rand.Read(r.key) // never fails
	}
	r.sums = append(r.sums, secret.HMAC256(r.key, pin.Bytes()))
}
