package executor

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// CheckMarks looks whether the marks that a plan rests on are their volumes' own, and returns
// the tokens that are not, by the partition's number, for planner.Options.Distrusted; it
// warns of each (Distrusted). It writes nothing. Ask it before Apply, and before saying that
// there is nothing to do.
//
// For that each of the volumes is opened, once. Where none of its keys can be used here the
// marks can be neither confirmed nor refuted: they stand, with a warning (Unchecked). Such a
// machine cannot open the volume by itself either, and could not rekey it.
func CheckMarks(ctx context.Context, dev blockdev.Device, plan *planner.Plan, env Env) (map[int][]int, error) {
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
func checkMark(ctx context.Context, env Env, dev blockdev.Device, m planner.Mark) (bad []int, err error) {
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
	for _, note := range header.Tokens() {
		if slices.Contains(m.Tokens, note.ID) && !genuine(header, key, note) {
			bad = append(bad, note.ID)
			reportNote(env, Event{Partition: m.Number}, note)
		}
	}
	return bad, nil
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
