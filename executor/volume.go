package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// volume is a LUKS2 volume in the making: its key, and its header with all its
// keyslots in memory. Nothing of it is on the disk yet.
type volume struct {
	key    *secret.Buffer
	header *luks2.Header
	front  *front
}

// newVolume makes a volume key, seals it by every key of e, and proves each of
// them by unsealing it again and opening its keyslot.
func newVolume(ctx context.Context, env Env, e planner.Encryption) (*volume, error) {
	header, err := luks2.Format(luks2.FormatOptions{
		UUID: e.UUID, Label: e.Label, DataOffset: int64(e.DataOffset), Cipher: e.Cipher,
		KeySize: e.KeyBits / 8, SectorSize: int(e.SectorSize), AllowDiscards: e.Discards, Rand: env.Random,
	})
	if err != nil {
		return nil, err
	}
	key, err := secret.Random(e.KeyBits/8, env.Random)
	if err != nil {
		return nil, err
	}
	v := &volume{key: key, header: header, front: &front{}}
	for i, k := range e.Keys {
		if err := v.enroll(ctx, env, k); err != nil {
			v.wipe()
			return nil, fmt.Errorf("key %d (%s): %w", i+1, k.Type, err)
		}
	}
	if err := header.Commit(v.front); err != nil {
		v.wipe()
		return nil, err
	}
	return v, nil
}

// wipe forgets the volume key.
func (v *volume) wipe() {
	v.key.Wipe()
	v.header.Wipe()
}

// enroll adds one keyslot with its token, and proves it.
func (v *volume) enroll(ctx context.Context, env Env, k definitions.Key) error {
	sealer, ok := env.sealer(k.Type)
	if !ok {
		return fmt.Errorf("this machine has nothing that can use keys of type %q", k.Type)
	}
	sealed, err := sealer.Seal(ctx, k)
	if err != nil {
		return err
	}
	defer sealed.Passphrase.Wipe()
	slot, err := v.header.AddKeyslot(v.front, v.key.Bytes(), sealed.Passphrase.Bytes(), sealed.KDF, env.Random)
	if err != nil {
		return err
	}
	if sealed.Token != nil {
		token, err := bindToken(sealed.Token, slot)
		if err != nil {
			return err
		}
		if _, err := v.header.AddToken(token); err != nil {
			return err
		}
	}
	return v.prove(ctx, sealer, k, sealed.Token, slot)
}

// prove unseals a key from what will be on the disk and compares what it opens
// with the volume key. Only keys that passed this may guard data.
func (v *volume) prove(ctx context.Context, sealer Sealer, k definitions.Key, token []byte, slot int) error {
	passphrase, err := sealer.Unseal(ctx, k, token)
	if err != nil {
		return fmt.Errorf("sealed, but cannot be unsealed again: %w", err)
	}
	defer passphrase.Wipe()
	opened, err := v.header.OpenKeyslot(v.front, slot, passphrase.Bytes())
	if err != nil {
		return fmt.Errorf("sealed, but keyslot %d does not open by it: %w", slot, err)
	}
	defer secret.Wipe(opened)
	if !bytes.Equal(opened, v.key.Bytes()) {
		return fmt.Errorf("sealed, but keyslot %d gives another key", slot)
	}
	return nil
}

// bindToken sets the keyslots of a token.
func bindToken(token []byte, slot int) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(token, &fields); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	fields["keyslots"], _ = json.Marshal([]string{strconv.Itoa(slot)})
	return json.Marshal(fields)
}
