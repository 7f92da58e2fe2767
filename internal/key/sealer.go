package key

import (
	"context"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// Sealer guards the passphrase of a keyslot by one kind of key.
type Sealer interface {
	// Kind is the type of [[encryption.key]] it serves, e.g. "tpm2".
	Kind() string
	// TokenType is the type of the LUKS2 tokens it writes, "" for none.
	TokenType() string
	// Seal returns a passphrase and what brings it back. Where what guards the key is not
	// on this machine, the error is ErrAbsent.
	Seal(ctx context.Context, key definitions.Key) (Sealed, error)
	// Unseal returns the passphrase. The token is the JSON object that Seal
	// returned or that another tool wrote; nil for kinds without tokens, which go
	// by key.
	Unseal(ctx context.Context, key definitions.Key, token []byte) (*secret.Buffer, error)
}

// Sealed is what one key contributes to a volume.
type Sealed struct {
	Passphrase *secret.Buffer
	Token      []byte // JSON object whose "keyslots" is filled in later; nil: none
	KDF        luks2.KDF
	// HandedOut says that the passphrase has left the machine and that nothing here
	// brings it back: Unseal would fail.
	HandedOut bool
	// Unproven says why the passphrase cannot be unsealed here and now, where that is so by
	// the key's own definition; "": it can, and must be.
	Unproven string
	// NotAlone says of one that is unproven that a new volume must have a proven key, too.
	NotAlone bool
}

// SecureKey is a volume key that a cryptographic adapter made: encrypted by the adapter's
// master key, and of no use anywhere else.
type SecureKey struct {
	Blob *secret.Buffer
	// Pattern is what the key makes of 32 zero bytes, in hex.
	Pattern string
}
