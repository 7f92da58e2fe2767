package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// ChangeKeys changes the keys of a volume, which may be in use: only its header
// changes. decide says what is to be done, by what the header tells, and nothing is written
// where that is not the header on the disk any more when it is done: a key that was counted on may
// have gone. It returns what was decided, and the keyslots that were added.
//
// The new keys are sealed, proven, written into free places and made durable; one write
// of the header then brings them and takes the others away. What a power cut leaves is told at commitKeys.
func ChangeKeys(ctx context.Context, env Env, part blockdev.Device, decide func(*disk.LUKS) (planner.KeyChange, error)) (change planner.KeyChange, added []int, err error) {
	header, err := readLocked(ctx, part)
	if err != nil {
		return change, nil, err
	}
	seen, err := probe.LUKS(header, placeOf(part))
	if err != nil {
		return change, nil, err
	}
	if change, err = decide(seen); err != nil {
		return change, nil, err
	}
	v, err := volumeOf(header, part)
	if err != nil {
		return change, nil, err
	}
	defer v.wipe()
	if added, err = v.changeKeys(ctx, env, change); err != nil {
		return change, nil, err
	}
	return change, added, v.commitKeys(part, env.Random, func() {})
}

// changeKeys makes a change in memory, and returns the keyslots that come with it.
func (v *volume) changeKeys(ctx context.Context, env Env, change planner.KeyChange) (added []int, err error) {
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
	added = holding(v.header, luks2.HoldsFinal)
	added = slices.DeleteFunc(added, func(slot int) bool { return slices.Contains(before, slot) })
	if err := dropKeyslots(v.header, change.Remove); err != nil {
		return nil, err
	}
	return added, v.noteAbsent(change.Add)
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
