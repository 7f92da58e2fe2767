package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// mayLeave reports whether an action's partition may stay as it is when its keys cannot be
// used, for that reason: its definition says unavailable = "leave", and there is something to
// leave; or all that is left to do is to wipe.
func (x *run) mayLeave(action plan.Action, why error) bool {
	switch a := action.(type) {
	case plan.Reencrypt:
		return errors.Is(why, errLeftover) || !a.Resume && a.Encryption.Unavailable == definitions.UnavailableLeave
	case plan.Enroll:
		return a.Unavailable == definitions.UnavailableLeave
	case plan.Create:
		return slices.Contains(x.plan.Leavable(), a.Number)
	default:
		return false
	}
}

// unguarded reports whether an action is more than to add keys to a volume that its
// definition's keys guard already.
func unguarded(action plan.Action) bool {
	e, ok := action.(plan.Enroll)
	return !ok || !e.Guarded
}

// leave notes that an action is not done, and why.
func (x *run) leave(action plan.Action, why error) {
	x.left[action.Partition()] = true
	x.env.report(Event{Phase: Left, Action: action.Kind(), Partition: action.Partition(), Step: why.Error()})
}

// entries returns what the table is to say. A partition that is left as it is keeps
// its old place: room for a header that does not come is not taken. One that was to be made
// is not in it.
func (x *run) entries() (entries []disk.Entry) {
	for _, e := range x.plan.Entries(x.derived) {
		p, there := x.snapshot.Partition(e.Number)
		switch {
		case !x.left[e.Number]:
			entries = append(entries, e)
		case there && !x.isNew(e.Number):
			entries = append(entries, p.Entry)
		}
	}
	return entries
}

// decided tells who wants to know it which of the new partitions are not made.
func (x *run) decided() error {
	if x.env.Decided == nil {
		return nil
	}
	var unmade []int
	for _, number := range x.plan.Leavable() {
		if x.left[number] {
			unmade = append(unmade, number)
		}
	}
	return x.env.Decided(unmade)
}

// checkLeft refuses, before anything is written, to leave a partition unmade into which the
// copy of another's header is to go.
func (x *run) checkLeft(_ context.Context, action plan.Action) error {
	b := backupOf(action)
	if b.in == nil || !x.left[b.in.Number] || x.left[action.Partition()] || !x.isNew(b.in.Number) {
		return nil
	}
	return fmt.Errorf("header_backup: partition %d, which is to take it, cannot be made", b.in.Number)
}
