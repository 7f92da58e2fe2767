package executor

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// ErrNoKey says that none of a volume's keys can be used here. The volume is
// intact; what the caller can do is bring the key: the TPM it was sealed to, or a
// key file.
var ErrNoKey = errors.New("no key opens this volume")

// Unlock returns the volume key of a LUKS2 volume: every token is tried in order,
// then every key of env.Keys. Where none opens it, the error is ErrNoKey with the
// reason of each.
func Unlock(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt) (*secret.Buffer, error) {
	var reasons []error
	for _, token := range h.Tokens() {
		key, err := unlockByToken(ctx, env, h, r, token)
		if err == nil {
			return key, nil
		}
		reasons = append(reasons, fmt.Errorf("token %d (%s): %w", token.ID, token.Type, err))
	}
	for _, k := range env.Keys {
		key, err := unlockByKey(ctx, env, h, r, k)
		if err == nil {
			return key, nil
		}
		reasons = append(reasons, fmt.Errorf("%s key %s: %w", k.Type, k.Path, err))
	}
	if len(reasons) == 0 {
		return nil, fmt.Errorf("%w: it has no token, and no key was given", ErrNoKey)
	}
	return nil, fmt.Errorf("%w: %w", ErrNoKey, errors.Join(reasons...))
}

// unlockByToken opens the keyslots of one token.
func unlockByToken(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, token luks2.Token) (*secret.Buffer, error) {
	sealer, ok := env.tokenSealer(token.Type)
	if !ok {
		return nil, errors.New("this kind of token cannot be used here")
	}
	passphrase, err := sealer.Unseal(ctx, definitions.Key{Type: sealer.Kind()}, token.Raw)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	for _, slot := range token.Keyslots {
		key, err := h.OpenKeyslot(r, slot, passphrase.Bytes())
		if err == nil {
			return secret.Take(key)
		}
		if !errors.Is(err, luks2.ErrWrongPassphrase) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("what it unseals opens none of its keyslots %v", token.Keyslots)
}

// unlockByKey tries a key without a token on every keyslot.
func unlockByKey(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, k definitions.Key) (*secret.Buffer, error) {
	sealer, ok := env.sealer(k.Type)
	if !ok {
		return nil, errors.New("this kind of key cannot be used here")
	}
	passphrase, err := sealer.Unseal(ctx, k, nil)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	key, _, err := h.Open(r, passphrase.Bytes())
	if err != nil {
		return nil, err
	}
	return secret.Take(key)
}
