package executor

import (
	"errors"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/planner"
)

// mayLeave reports whether an action's partition may stay as it is when its keys cannot be
// used, for that reason: its definition says unavailable = "leave", and there is something to
// leave; or all that is left to do is to wipe.
func mayLeave(action planner.Action, why error) bool {
	switch a := action.(type) {
	case planner.Reencrypt:
		return errors.Is(why, errLeftover) || !a.Resume && a.Encryption.Unavailable == definitions.UnavailableLeave
	case planner.Enroll:
		return a.Unavailable == definitions.UnavailableLeave
	default:
		return false
	}
}

// unguarded reports whether an action is more than to add keys to a volume that its
// definition's keys guard already.
func unguarded(action planner.Action) bool {
	e, ok := action.(planner.Enroll)
	return !ok || !e.Guarded
}

// leave notes that an action is not done, and why.
func (x *run) leave(action planner.Action, why error) {
	x.left[action.Partition()] = true
	x.env.report(Event{Phase: Left, Action: action.Kind(), Partition: action.Partition(), Step: why.Error()})
}

// entries returns what the table is to say. A partition that is left as it is keeps
// its old place: room for a header that does not come is not taken.
func (x *run) entries() []disk.Entry {
	entries := x.plan.Entries(x.derived)
	for i, e := range entries {
		if p, ok := x.snapshot.Partition(e.Number); ok && x.left[e.Number] {
			entries[i] = p.Entry
		}
	}
	return entries
}
