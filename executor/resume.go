package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// resume opens a volume in conversion with the keys it carries and finishes it.
func (c *conversion) resume(ctx context.Context) error {
	header, err := c.readHeader(ctx)
	if err != nil {
		return err
	}
	c.header = header
	pending, err := header.Reencryption(c.volumeEnd(header))
	if err != nil {
		return err
	}
	if pending == nil {
		if err := c.wipeLeftover(); err != nil {
			return err
		}
		c.report(Done, "", c.action.DataSize)
		return nil
	}
	unprotected := pending.Resilience == "none" && pending.Mode != "decrypt"
	if _, err := c.state(); err != nil && !unprotected {
		return err
	}
	keys, err := c.unlock(ctx, pending)
	if err != nil {
		return err
	}
	defer keys.wipe()
	if unprotected {
		if err := c.protect(pending, keys); err != nil {
			return err
		}
	}
	if pending.Resilience == "datashift" && pending.State == luks2.Clean && pending.Remaining == pending.DataSize {
		if err := c.eraseStaged(); err != nil {
			return err
		}
	}
	return c.convert(ctx, keys)
}

// unlock returns the keys that the conversion needs, and checks that they are those
// of its metadata. The digest covers what all offsets are computed from; without
// this check a tampered header could make us write anywhere in the partition.
//
// Where all data is converted, the old key is not needed, and its keyslots may be
// gone already. No data is written then.
func (c *conversion) unlock(ctx context.Context, state *luks2.Reencryption) (keys dataKeys, err error) {
	defer func() {
		if err != nil {
			keys.wipe()
		}
	}()
	if keys.new, err = c.open(ctx, luks2.HoldsFinal); err != nil {
		return keys, err
	}
	if err = c.header.VerifyKey(keys.new.Bytes()); err != nil {
		return keys, err
	}
	if state.Mode != string(planner.ModeRekey) {
		return keys, c.header.VerifyReencryption(nil, keys.new.Bytes())
	}
	if state.State == luks2.Unfinished {
		return keys, nil
	}
	if keys.old, err = c.open(ctx, luks2.HoldsPrevious); err != nil {
		return keys, fmt.Errorf("the key of the data that is not converted yet: %w", err)
	}
	return keys, c.header.VerifyReencryption(keys.old.Bytes(), keys.new.Bytes())
}

// open returns one of the volume's keys, by what the header carries, the keys of the
// definition, or the key source of the action.
func (c *conversion) open(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
	key, err := unlock(ctx, c.env, c.header, c.home, what)
	if err == nil || c.action.ExistingKey == "" {
		return key, err
	}
	key, otherErr := c.existingKey(ctx, what)
	if otherErr != nil {
		return nil, errors.Join(err, otherErr)
	}
	return key, nil
}

// wipe forgets the keys.
func (k dataKeys) wipe() {
	k.old.Wipe()
	k.new.Wipe()
}

// wayOf returns the way in which a conversion is done.
func (c *conversion) wayOf(state *luks2.Reencryption, recode recoder) (way, error) {
	if state.Resilience == "datashift" {
		return &shift{c: c, state: state, recode: recode}, nil
	}
	return newInPlace(c, state, recode)
}
