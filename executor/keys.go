package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// ChangeKeys changes the keys of a volume, which may be in use: only its header
// changes. It returns the keyslots that were added.
//
// The new keys are sealed, proven, written into free places and made durable; one write
// of the header then brings them and takes the others away. What a power cut leaves is told at commitKeys.
func ChangeKeys(ctx context.Context, env Env, part blockdev.Device, change planner.KeyChange) ([]int, error) {
	v, err := openVolume(part)
	if err != nil {
		return nil, err
	}
	defer v.wipe()
	before := holding(v.header, luks2.HoldsFinal)
	v.replaced = change.Remove
	if len(change.Add) > 0 {
		if v.key, err = v.unlockNamed(ctx, env, change.Remove); err != nil {
			return nil, err
		}
	}
	if err := v.enrollAll(ctx, env, change.Add); err != nil {
		return nil, err
	}
	if len(change.Remove) > 0 {
		if err := v.checkProven(); err != nil {
			return nil, err
		}
	}
	added := holding(v.header, luks2.HoldsFinal)
	added = slices.DeleteFunc(added, func(slot int) bool { return slices.Contains(before, slot) })
	if err := dropKeyslots(v.header, change.Remove); err != nil {
		return nil, err
	}
	if err := v.noteAbsent(change.Add); err != nil {
		return nil, err
	}
	return added, v.commitKeys(part, env.Random, func() {})
}

// unlockNamed opens the volume, by the named keyslots if they do: a PIN that is given with a
// keyslot is meant for it, and to offer it to another one's token first would cost a try.
func (v *volume) unlockNamed(ctx context.Context, env Env, named []int) (*secret.Buffer, error) {
	slots := slices.DeleteFunc(unlocking(v.header, luks2.HoldsFinal), func(slot int) bool { return !slices.Contains(named, slot) })
	if len(slots) > 0 {
		if key, err := unlockSlots(ctx, env, v.header, v.device, slots); err == nil {
			return key, nil
		}
	}
	return Unlock(ctx, env, v.header, v.device)
}

// checkNew refuses a key in the place of another that is the same secret: then nothing
// would change, and the old one be believed gone.
func (v *volume) checkNew(ctx context.Context, sealed Sealed) error {
	for _, slot := range v.replaced {
		key, err := openKeyslot(ctx, v.header, v.device, slot, sealed.Passphrase)
		if err == nil {
			clear(key)
			return fmt.Errorf("it is the key that keyslot %d has already", slot)
		}
		if !errors.Is(err, luks2.ErrWrongPassphrase) {
			return err
		}
	}
	return nil
}
