package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner"
)

// ErrAbsent says that what guards a key is not on this machine: there is no TPM, no
// token, no module, no key file. What is there and refuses is another thing.
var ErrAbsent = errors.New("it is not on this machine")

// Absent returns an error that says what err says, and is ErrAbsent too.
func Absent(err error) error { return absentError{err} }

type absentError struct{ error }

func (e absentError) Unwrap() error        { return e.error }
func (e absentError) Is(target error) bool { return target == ErrAbsent }

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
// planner.AwaitToken. It is not authenticated: it only ever has a key added that the
// definition names.
type awaitNote struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	Keys     []string `json:"keys"`
	Rekeyed  bool     `json:"rekeyed,omitempty"`
}

// noteAbsent writes into the header, in memory, which keys it waits for: those of the note
// that is there, without those that were added, and those that were absent now.
func (v *volume) noteAbsent(added []definitions.Key) error {
	note := awaitNote{Type: planner.AwaitToken, Keyslots: []string{}, Rekeyed: v.old != nil}
	for _, token := range v.header.Tokens() {
		if token.Type != planner.AwaitToken {
			continue
		}
		if err := v.header.RemoveToken(token.ID); err != nil {
			return err
		}
		var before awaitNote
		if json.Unmarshal(token.Raw, &before) == nil && v.old == nil { // a rekey forgets what the vendor waited for
			note.Keys, note.Rekeyed = append(note.Keys, before.Keys...), before.Rekeyed
		}
	}
	note.Keys = slices.DeleteFunc(note.Keys, func(name string) bool {
		return slices.ContainsFunc(added, func(k definitions.Key) bool { return planner.AwaitName(k) == name })
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
	_, err = v.header.AddToken(token)
	return err
}

// reportAbsent tells which keys of an action were left out.
func (x *run) reportAbsent(action planner.Action, v *volume) {
	for _, a := range v.absent {
		x.env.report(Event{Phase: Skipped, Action: action.Kind(), Partition: action.Partition(), Step: a.why.Error()})
	}
}
