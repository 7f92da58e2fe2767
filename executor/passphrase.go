package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/modhex"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// openKeyslot returns the key of a keyslot by what a person or a file gives as its
// passphrase: the very bytes, but for a recovery key, which may be written in any case,
// with or without dashes.
func openKeyslot(ctx context.Context, h *luks2.Header, r io.ReaderAt, slot int, passphrase *secret.Buffer) ([]byte, error) {
	recovery := slices.ContainsFunc(h.Tokens(), func(t luks2.Token) bool {
		return t.Type == disk.TokenRecovery && slices.Contains(t.Keyslots, slot)
	})
	if !recovery {
		return h.OpenKeyslot(ctx, r, slot, passphrase.Bytes())
	}
	text, err := modhex.Normalize(passphrase.Bytes())
	if err != nil {
		return nil, err
	}
	if text == nil { // whose keyslot it is, the token says, and anybody may have written that
		key, err := h.OpenKeyslot(ctx, r, slot, passphrase.Bytes())
		if errors.Is(err, luks2.ErrWrongPassphrase) {
			err = fmt.Errorf("%w: it is that of a recovery key, and this is none", err)
		}
		return key, err
	}
	defer text.Wipe()
	return h.OpenKeyslot(ctx, r, slot, text.Bytes())
}
