package executor

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// CheckMarks looks whether the marks that a plan rests on are their volumes' own, and returns
// the tokens that are not, by the partition's number, for planner.Options.Distrusted; it
// warns of each (Distrusted). It writes nothing. Ask it before Apply, and before saying that
// there is nothing to do.
//
// A note is the volume's own by its MAC. So is the token of a key that was made here; that of
// another program is where its own key, asked now, opens its keyslot. One of which neither is
// so does not count, though it may be genuine: a recovery key that another program made is
// on paper somewhere. The run then adds another such key.
//
// So every run opens each of the volumes once, and one with nothing to do as well: that costs an
// unsealing, 14 commands to a TPM. It cannot be left out. Without a mark the run would always do
// something, for all keys that it vouches for would be lacking; and a note that an earlier run
// checked it could only be on the disk, whose owner writes the mark and that note alike.
// What opens no volume proves nothing: a TPM loads what anybody sealed with it.
//
// Each volume is opened once. Where none of its keys can be used here the
// marks can be neither confirmed nor refuted: they stand, with a warning (Unchecked). Such a
// machine cannot open the volume by itself either, and could not rekey it.
func CheckMarks(ctx context.Context, dev blockdev.Device, plan *plan.Plan, env Env) (map[int][]int, error) {
	distrusted := map[int][]int{}
	for _, m := range plan.Marks {
		bad, err := checkMark(ctx, env, dev, m)
		if ctx.Err() != nil {
			return nil, asInterrupted(ctx, ErrInterrupted)
		}
		if err != nil {
			env.report(Event{Phase: Unchecked, Partition: m.Number, Step: fmt.Sprintf("whether tokens %v are the volume's own could not be checked: %v", m.Tokens, err)})
			continue
		}
		if len(bad) > 0 {
			distrusted[m.Number] = bad
		}
	}
	return distrusted, nil
}

// checkMark returns those tokens of a mark that are not the volume's own.
func checkMark(ctx context.Context, env Env, dev blockdev.Device, m plan.Mark) (bad []int, err error) {
	part, err := blockdev.NewSection(dev, m.Extent)
	if err != nil {
		return nil, err
	}
	header, err := luks2.Read(part, int64(part.Size()))
	if err != nil {
		return nil, err
	}
	if _, err := header.Activation(placeOf(part)); err != nil { // for it no key is asked for
		return nil, err
	}
	key, err := unlockForMark(ctx, env, header, part, m.ExistingKey)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	for _, token := range header.Tokens() {
		if !slices.Contains(m.Tokens, token.ID) || genuine(header, key, token) {
			continue
		}
		if slices.Contains(noteTypes, token.Type) {
			reportNote(env, Event{Partition: m.Number}, token)
		} else if err := opensOwn(ctx, env, header, part, token); ctx.Err() != nil {
			return nil, ctx.Err()
		} else if err != nil {
			reportKeyToken(env, m.Number, token, err)
		} else {
			continue
		}
		bad = append(bad, token.ID)
	}
	return bad, nil
}

// opensOwn reports why the key that a token speaks of does not open each of its keyslots.
func opensOwn(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, token luks2.Token) error {
	for _, slot := range token.Keyslots {
		if !slices.Contains(holding(h, luks2.HoldsFinal), slot) {
			return fmt.Errorf("keyslot %d does not hold the volume's key", slot)
		}
		key, err := unlockByToken(ctx, env, h, r, token, []int{slot})
		if err != nil {
			return err
		}
		key.Wipe()
	}
	return nil
}

// reportKeyToken warns of the token of a key that does not count, and says why.
func reportKeyToken(env Env, partition int, token luks2.Token, why error) {
	env.report(Event{Phase: Distrusted, Partition: partition, Step: fmt.Sprintf(
		"token %d (%s) does not count as a key of the definition: it has no valid MAC of the volume's key, and nothing opens keyslots %v by it here (%v); \"cryptsetup token remove --token-id %d\" removes it",
		token.ID, token.Type, token.Keyslots, why, token.ID)})
}

// unlockForMark opens a volume by a key that it has, or else by the key source that opened it
// before it was rekeyed: where that still opens it, a mark that says so is hardly genuine.
func unlockForMark(ctx context.Context, env Env, h *luks2.Header, part blockdev.Device, source string) (*secret.Buffer, error) {
	key, err := Unlock(ctx, env, h, part)
	if err == nil || source == "" {
		return key, err
	}
	v := &volume{header: h, device: part}
	if _, sourceErr := v.openBySource(ctx, env, source); sourceErr != nil {
		return nil, fmt.Errorf("%w; existing key %s: %w", err, source, sourceErr)
	}
	if v.key == nil {
		return nil, fmt.Errorf("%w; existing key %s: %w", err, source, luks2.ErrWrongPassphrase)
	}
	return v.key, nil
}
