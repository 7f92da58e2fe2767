package executor

import (
	"context"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/secret"
)

// leavable is a Sealer that is left behind where it does not end with its context: a library
// for smart cards cannot be stopped, nor what waits for a device in the kernel. No step of a
// run then waits for a key.
type leavable struct{ Sealer }

// Seal is that of the sealer.
func (s leavable) Seal(ctx context.Context, key definitions.Key) (Sealed, error) {
	return abandon.Call(ctx, func() (Sealed, error) { return s.Sealer.Seal(ctx, key) }, func(late Sealed) { late.Passphrase.Wipe() })
}

// Unseal is that of the sealer.
func (s leavable) Unseal(ctx context.Context, key definitions.Key, token []byte) (*secret.Buffer, error) {
	return abandon.Call(ctx, func() (*secret.Buffer, error) { return s.Sealer.Unseal(ctx, key, token) }, (*secret.Buffer).Wipe)
}
