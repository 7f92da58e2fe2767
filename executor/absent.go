package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
)

// absence is a key that was left out, and why.
type absence struct {
	key definitions.Key
	why error
}

// enrollThere adds the keyslots of those keys that are on this machine, and returns those
// that it added. What is absent is left out (v.absent), unless it is required.
//
// A volume that only people could open, for want of all else, is not made: the machine
// would not come up any more. guarded says that it has another key already. The keys for
// people come last, so that none is handed out for a volume that does not come about.
func (v *volume) enrollThere(ctx context.Context, env Env, keys []definitions.Key, guarded bool) (added []definitions.Key, err error) {
	for _, persons := range []bool{false, true} {
		if persons && len(v.absent) > 0 && len(added) == 0 && !guarded {
			return nil, v.unguarded(keys)
		}
		for i, k := range keys {
			if k.ForPersons() != persons {
				continue
			}
			err := v.enroll(ctx, env, k)
			var gone *absentKeyError
			switch {
			case err == nil:
				added = append(added, k)
			case errors.As(err, &gone) && !k.Required:
				v.absent = append(v.absent, absence{k, fmt.Errorf("key %d (%s): %w", i+1, k.Type, gone.error)})
			default:
				return nil, fmt.Errorf("key %d (%s): %w", i+1, k.Type, err)
			}
		}
	}
	return added, nil
}

// absentKeyError says that a key could not be sealed because it is absent: nothing of it
// is in the header. (One that goes missing before it is proven leaves a keyslot.)
type absentKeyError struct{ error }

func (e *absentKeyError) Unwrap() error { return e.error }

// unguarded says why there is no key that the machine could use by itself.
func (v *volume) unguarded(keys []definitions.Key) error {
	var reasons []error
	for _, a := range v.absent {
		reasons = append(reasons, a.why)
	}
	err := errors.Join(reasons...)
	if slices.ContainsFunc(keys, definitions.Key.ForPersons) {
		return fmt.Errorf("only a recovery key would be left, and the machine could not open the volume by itself: %w", err)
	}
	return err
}

// awaitNote is the token that says which keys a volume waits for; see
// disk.TokenAwaits. note.go says when it is believed.
type awaitNote struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	Keys     []string `json:"keys"`
}

// namesAwaited returns the keys that a note names.
func namesAwaited(note luks2.Token) []string {
	var content awaitNote
	if json.Unmarshal(note.Raw, &content) != nil {
		return nil
	}
	return content.Keys
}

// awaited returns those of the keys that a genuine note of the volume names.
func (v *volume) awaited(keys []definitions.Key) (found []definitions.Key) {
	var names []string
	for _, note := range notesOf(v.header, disk.TokenAwaits) {
		if genuine(v.header, v.key, note) {
			names = append(names, namesAwaited(note)...)
		}
	}
	for _, k := range keys {
		if planner.NamesKey(names, k) {
			found = append(found, k)
		}
	}
	return found
}

// noteAbsent writes into the header, in memory, which keys it waits for: those of the
// genuine notes that are there, without those that were added, and those that were absent
// now. Notes that are not genuine stay, for somebody to look at. Where the volume was not
// opened, all stays as it is.
func (v *volume) noteAbsent(added []definitions.Key) error {
	if v.key == nil {
		return nil
	}
	note := awaitNote{Type: disk.TokenAwaits, Keyslots: []string{}}
	if err := v.takeNotes(&note); err != nil {
		return err
	}
	note.Keys = slices.DeleteFunc(note.Keys, func(name string) bool {
		return slices.ContainsFunc(added, func(k definitions.Key) bool { return planner.NamesKey([]string{name}, k) })
	})
	for _, a := range v.absent {
		if name := planner.AwaitName(a.key); !slices.Contains(note.Keys, name) {
			note.Keys = append(note.Keys, name)
		}
	}
	if len(note.Keys) == 0 {
		return nil
	}
	token, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if token, err = signNote(v.header, v.key, token); err != nil {
		return err
	}
	_, err = v.header.AddToken(token)
	return err
}

// takeNotes takes the genuine notes of what the volume waits for out of its header, and into
// one. A rekey forgets what the vendor waited for.
func (v *volume) takeNotes(into *awaitNote) error {
	for _, token := range notesOf(v.header, disk.TokenAwaits) {
		rekeyed := v.old != nil
		if !rekeyed && !genuine(v.header, v.key, token) {
			continue
		}
		if err := v.header.RemoveToken(token.ID); err != nil {
			return err
		}
		var before awaitNote
		if json.Unmarshal(token.Raw, &before) == nil && !rekeyed {
			into.Keys = append(into.Keys, before.Keys...)
		}
	}
	return nil
}

// reportAbsent tells which keys of an action were left out.
func (x *run) reportAbsent(action plan.Action, v *volume) {
	for _, a := range v.absent {
		x.env.report(Event{Phase: Skipped, Action: action.Kind(), Partition: action.Partition(), Step: a.why.Error()})
	}
}
