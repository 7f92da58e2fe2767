package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// newRekey makes the new key of a volume that is encrypted already, and its header
// in the state in which all data is under the old key still. In it the keys of the
// definition open both volume keys, so that any of them alone can go on after an
// interruption, and all other keyslots are dropped. All of this is proven, and in
// memory.
func (c *conversion) newRekey(ctx context.Context) (*volume, error) {
	header, err := readLocked(ctx, c.part)
	if err != nil {
		return nil, err
	}
	c.header = header
	if err := c.sameVolume(header); err != nil {
		return nil, err
	}
	if err := changeable(header, c.part); err != nil {
		return nil, err
	}
	if _, err := header.Activation(placeOf(c.part)); err != nil {
		return nil, err
	}
	if err := checkCiphers(header.Cipher(), c.action.Encryption.Cipher); err != nil {
		return nil, err
	}
	over := &overlay{below: c.part}
	v := &volume{header: header, device: over, over: over}
	if err := c.fillRekey(ctx, v); err != nil {
		v.wipe()
		return nil, err
	}
	return v, nil
}

// fillRekey makes the keys and begins, in memory.
func (c *conversion) fillRekey(ctx context.Context, v *volume) (err error) {
	theirs := append(holding(c.header, luks2.HoldsFinal), holding(c.header, luks2.HoldsOther)...)
	last := theirs[:min(1, len(theirs))] // the header is not without a key meanwhile
	if v.old, err = c.existingKey(ctx, luks2.HoldsFinal); err != nil {
		return err
	}
	if v.key, err = secret.Random(c.action.Encryption.KeyBits/8, c.env.Random); err != nil {
		return err
	}
	// Their places are free once the header without them is on the disk, their numbers at once.
	if err := dropKeyslots(c.header, theirs[len(last):]); err != nil {
		return err
	}
	added, err := v.enrollThere(ctx, c.env, c.action.Encryption.Keys, false)
	if err != nil {
		return err
	}
	if err := v.checkProven(); err != nil {
		return err
	}
	if err := dropKeyslots(c.header, last); err != nil {
		return err
	}
	if err := v.noteAbsent(added); err != nil {
		return err
	}
	if err := v.markRekeyed(); err != nil {
		return err
	}
	options := luks2.RekeyOptions{Cipher: c.action.Encryption.Cipher, SectorSize: int(c.action.Encryption.SectorSize)}
	options.ForwardOptions = c.forwardOptions(max(options.SectorSize, c.header.SectorSize()))
	return c.header.BeginRekey(ctx, options, v.old.Bytes(), v.key.Bytes())
}

// dropKeyslots takes keyslots out of a header, with the tokens that are only for
// them.
func dropKeyslots(h *luks2.Header, slots []int) error {
	if err := removeTokens(h, tokensOf(h, slots)); err != nil {
		return err
	}
	for _, id := range slots {
		if err := h.DropKeyslot(id); err != nil {
			return err
		}
	}
	return nil
}

// existingKey opens the volume by the key source of the action.
func (c *conversion) existingKey(ctx context.Context, what luks2.Holds) (*secret.Buffer, error) {
	if c.env.KeySource == nil || c.action.ExistingKey == "" {
		return nil, errors.New("there is no source of the key that opens the volume now")
	}
	passphrase, err := c.env.KeySource(ctx, c.action.ExistingKey)
	if err != nil {
		return nil, fmt.Errorf("existing key %s: %w", c.action.ExistingKey, err)
	}
	defer passphrase.Wipe()
	key, err := openAny(ctx, c.header, c.home, holding(c.header, what), passphrase)
	if err != nil {
		return nil, fmt.Errorf("existing key %s: %w", c.action.ExistingKey, err)
	}
	return key, nil
}

// beginRekey puts the new header on the disk and converts. A power cut leaves
//
//   - while the keyslots are written: the old header, which does not list them;
//   - in the header's commit: the old header with all its keys, or the new one,
//     whose keyslots were durable before;
//   - afterwards: the new header, and what the dropped keyslots held, wiped in part.
//     That comes before the first zone, whose record may lie in their place.
func (c *conversion) beginRekey(ctx context.Context, v *volume) error {
	c.header = v.header
	if err := v.commitKeys(c.home, c.env.Random, func() {}); err != nil {
		return err
	}
	c.report(Committed, "header", 0)
	return c.convert(ctx, v.keys())
}
