package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/planner/plan"
)

// volumeKey makes the key of a new volume, and the token that goes with it, nil for none.
func volumeKey(ctx context.Context, env Env, e plan.Encryption) (*secret.Buffer, []byte, error) {
	if e.SecureKey == nil {
		if err := checkCiphers(e.Cipher); err != nil {
			return nil, nil, err
		}
		key, err := secret.Random(e.KeyBits/8, env.Random)
		return key, nil, err
	}
	if env.SecureKey == nil {
		return nil, nil, errors.New("there is nothing here to make secure keys")
	}
	var attempt [4]byte // a run that was cut off may have left a key in the repository
	if _, err := io.ReadFull(env.Random, attempt[:]); err != nil {
		return nil, nil, err
	}
	made, err := env.SecureKey(ctx, *e.SecureKey, fmt.Sprintf("sealpart-%s-%x", e.UUID, attempt))
	if err != nil {
		return nil, nil, fmt.Errorf("secure key: %w", err)
	}
	token, err := json.Marshal(map[string]any{"type": disk.TokenPattern, "keyslots": []string{}, "verification-pattern": made.Pattern})
	return made.Blob, token, err
}

// throughKernel reports whether only the kernel can encrypt the volume's data.
func (v *volume) throughKernel() bool { return plan.UnderSecureKey(v.header.Cipher()) }
