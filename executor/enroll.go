package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// newEnroll makes the keyslots that a volume lacks, and takes those of the existing
// key out of its header where they are to go. All of this is proven, and in memory.
func (x *run) newEnroll(ctx context.Context, a plan.Enroll) (*volume, error) {
	part, err := blockdev.NewSection(x.dev, a.Extent)
	if err != nil {
		return nil, err
	}
	v, err := openVolume(ctx, part)
	if err != nil {
		return nil, err
	}
	if err := v.fillEnroll(ctx, x.env, a); err != nil {
		v.wipe()
		return nil, err
	}
	return v, nil
}

// openVolume reads the header of a volume, over which changes are kept in memory.
func openVolume(ctx context.Context, part blockdev.Device) (*volume, error) {
	header, err := readLocked(ctx, part)
	if err != nil {
		return nil, err
	}
	return volumeOf(header, part)
}

// volumeOf returns the volume of a header. One on which work is not finished is refused.
func volumeOf(header *luks2.Header, part blockdev.Device) (*volume, error) {
	if err := changeable(header, part); err != nil {
		return nil, err
	}
	over := &overlay{below: part}
	return &volume{header: header, device: over, over: over}, nil
}

// fillEnroll opens the volume, adds those of the missing keys that are there and drops the
// existing one, in memory. Where none is there, all stays as it is. The slots to be
// dropped are found before the new ones are there: a new key may be the same secret. What is
// added only because the volume is said to wait for it, is added only where its own note says so.
func (v *volume) fillEnroll(ctx context.Context, env Env, a plan.Enroll) error {
	slots, err := v.openExisting(ctx, env, a)
	if err != nil {
		return err
	}
	reportForged(env, Event{Action: a.Kind(), Partition: a.Number}, v.header, v.key)
	if a.Awaited {
		a.Keys = v.awaited(a.Keys)
	}
	added, err := v.enrollThere(ctx, env, a.Keys, a.Guarded)
	if v.same = len(added) == 0; err != nil || v.same {
		return err
	}
	if a.DropExisting {
		if err := v.checkProven(); err != nil {
			return err
		}
		if err := dropKeyslots(v.header, slots); err != nil {
			return err
		}
	}
	return v.noteAbsent(added)
}

// openExisting opens the volume, and returns the keyslots of the existing key. One
// that opens nothing has gone already: then another key of the volume must do.
func (v *volume) openExisting(ctx context.Context, env Env, a plan.Enroll) (slots []int, err error) {
	if a.ExistingKey != "" {
		if slots, err = v.openBySource(ctx, env, a.ExistingKey); err != nil {
			return nil, fmt.Errorf("existing key %s: %w", a.ExistingKey, err)
		}
	}
	if v.key == nil {
		v.key, err = Unlock(ctx, env, v.header, v.device)
	}
	return slots, err
}

// openBySource tries what a key source gives on every keyslot. It sets the volume's
// key where one opens, and returns all that do.
func (v *volume) openBySource(ctx context.Context, env Env, source string) (slots []int, err error) {
	if env.KeySource == nil {
		return nil, errors.New("there is nothing here to read key sources")
	}
	passphrase, err := env.KeySource(ctx, source)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	for _, slot := range readableSlots(v.header, holding(v.header, luks2.HoldsFinal)) {
		key, err := openKeyslot(ctx, v.header, v.device, slot, passphrase)
		if errors.Is(err, luks2.ErrWrongPassphrase) {
			continue
		}
		if err != nil {
			return nil, err
		}
		slots = append(slots, slot)
		if v.key != nil {
			secret.Wipe(key)
		} else if v.key, err = secret.Take(key); err != nil {
			return nil, err
		}
	}
	return slots, nil
}

// readableSlots leaves out the keyslots that nothing here can open, unless there are no others:
// then trying them says why.
func readableSlots(h *luks2.Header, slots []int) []int {
	readable := slices.DeleteFunc(slices.Clone(slots), func(id int) bool {
		return slices.ContainsFunc(h.Keyslots(), func(s luks2.Keyslot) bool { return s.ID == id && s.Unreadable() != "" })
	})
	if len(readable) == 0 {
		return slots
	}
	return readable
}

// enroll brings the new header to the disk, if there is one.
func (x *run) enroll(a plan.Enroll, v *volume) error {
	if v.same {
		return nil
	}
	part, err := blockdev.NewSection(x.dev, a.Extent)
	if err != nil {
		return err
	}
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Number})
	ahead := func() { x.backupAhead(a, v.header, v.over) }
	if err := v.commitKeys(part, x.env.Random, ahead); err != nil {
		return err
	}
	x.env.report(Event{Phase: Committed, Action: a.Kind(), Partition: a.Number, Step: "header"})
	x.env.report(Event{Phase: Done, Action: a.Kind(), Partition: a.Number})
	return nil
}

// commitKeys brings new keyslots and the header that lists them to the disk. A power
// cut leaves
//
//   - while the keyslots are written: the old header, which does not list them;
//   - in the header's commit: the old header, or the new one with the new keys and
//     without those that go, whose keyslots were durable before;
//   - afterwards: the new header, and what the dropped keyslots held, wiped in part.
//     Their salts are gone with the old header, so that nobody can open them.
//
// So the next run finds the work done, or not begun. Where somebody else has changed the
// header since it was read, nothing is written: the places that were free then may hold
// their keys. ahead is called when nobody can do that any more.
func (v *volume) commitKeys(home luks2.Device, random io.Reader, ahead func()) error {
	return changing(v.header, home, func() error {
		ahead()
		if err := v.over.flush(); err != nil {
			return fmt.Errorf("write the new keyslots: %w", err)
		}
		if err := v.header.Commit(home); err != nil {
			return err
		}
		return v.header.WipeRemoved(home, random)
	})
}
