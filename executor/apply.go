package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner/plan"
)

// ErrStale says that the disk is not in the state the plan was made for. Nothing
// was written; the caller can plan again.
var ErrStale = errors.New("the disk has changed since the plan was made")

// ErrInterrupted says that the work stopped at a commit point because it was asked
// to. Applying again goes on from there.
var ErrInterrupted = errors.New("interrupted; run again to go on")

// UnavailableError says that the keys of a definition, or those of a conversion that
// was begun, cannot be used on this machine, and that something is not encrypted, or not
// by them alone, that should be. Nothing was written.
type UnavailableError struct{ error }

func (e *UnavailableError) Unwrap() error { return e.error }

// Target is the disk a plan is applied to.
type Target interface {
	blockdev.Device
	// ZeroesDiscarded reports whether what was discarded reads as zero.
	ZeroesDiscarded() bool
	// Grow makes an image file larger; on a block device it fails. CutBack takes that back, with
	// all that was written behind the size that it had.
	Grow(size disk.Bytes) error
	CutBack(size disk.Bytes) error
	// TellKernel makes the kernel's view of the partitions follow the table; for
	// an image file it does nothing.
	TellKernel(before, after []disk.Entry, sectorSize disk.Bytes) error
}

// touch tells a target that wants to know it that something is about to be written past it: by
// a program, by the kernel, or by a larger size.
func (x *run) touch() {
	if t, ok := x.dev.(interface{ Touch() }); ok {
		t.Touch()
	}
}

// run is one application of a plan.
type run struct {
	env      Env
	dev      Target
	plan     *plan.Plan
	snapshot disk.Snapshot
	pipeline *pipeline
	volumes  map[int]*volume        // by partition number
	resumed  map[int]resumption     // conversions that are gone on with
	derived  map[int]uuid.UUID      // UUIDs that come from root hashes
	left     map[int]bool           // partitions that stay as they are
	made     map[int]*os.File       // file systems of new partitions, by number
	held     map[string]*claim.Lock // of volumes that are re-encrypted, by UUID
	uuids    map[int]string         // of those volumes, as they were when they were locked
	mounting sync.Mutex             // one file system at a time is mounted for backups
	began    disk.Bytes             // size of an image file before it grew, 0 where it is not to have it again
	tabled   bool                   // the new table may be on the disk
}

// Apply makes the disk what the plan says. It refuses a plan for another state of
// the disk (ErrStale) before writing anything. When ctx is done it stops at the
// next commit point with ErrInterrupted. It returns the partition UUIDs that the
// plan left open because they come from root hashes.
func Apply(ctx context.Context, dev Target, plan *plan.Plan, env Env) (map[int]uuid.UUID, error) {
	snapshot, err := probeFor(dev, plan)
	if err != nil {
		return nil, err
	}
	if snapshot.Fingerprint() != plan.Target.Fingerprint {
		return nil, ErrStale
	}
	if err := CheckPlan(dev, plan, snapshot); err != nil {
		return nil, err
	}
	x := newRun(env, dev, plan, snapshot)
	defer x.wipe()
	err = asInterrupted(ctx, x.phases(ctx))
	return x.derived, errors.Join(err, x.letGo())
}

// probeFor looks at the disk, as far as was done for the plan.
func probeFor(dev Target, plan *plan.Plan) (disk.Snapshot, error) {
	if plan.Target.FreeUnread {
		return probe.Partitions(dev, plan.Target.SectorSize)
	}
	return probe.Disk(dev, plan.Target.SectorSize)
}

// newRun returns a run that has done nothing yet.
func newRun(env Env, dev Target, plan *plan.Plan, snapshot disk.Snapshot) *run {
	env.Sealers = oneAtATimeAll(env.Sealers)
	return &run{
		env: env, dev: dev, plan: plan, snapshot: snapshot, pipeline: pipelineFor(dev, env.Workers),
		volumes: map[int]*volume{}, resumed: map[int]resumption{}, derived: map[int]uuid.UUID{}, left: map[int]bool{}, made: map[int]*os.File{},
		held: map[string]*claim.Lock{}, uuids: map[int]string{},
	}
}

// asInterrupted makes ErrInterrupted of the many words in which what stops because
// ctx is done says so: the context's error, its cause, the end of a program.
func asInterrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ErrInterrupted) {
		return err
	}
	if errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("%w (%w)", ErrInterrupted, err)
	}
	return err
}

// phases does everything, in the order that doc.go explains.
func (x *run) phases(ctx context.Context) error {
	if err := x.publishAll(ctx); err != nil {
		return errors.Join(err, x.takeBack())
	}
	if err := x.convertAll(ctx); err != nil {
		return err
	}
	return x.each(ctx, x.backup)
}

// decide does all that can fail without anything being written: it makes the keys, and the file systems.
func (x *run) decide(ctx context.Context) error {
	if err := x.each(ctx, x.checkBackup); err != nil {
		return err
	}
	if err := x.each(ctx, x.holdVolume); err != nil {
		return err
	}
	err := x.keys(ctx)
	x.env.forget()
	if err != nil && slices.ContainsFunc(x.plan.Actions, unguarded) {
		return &UnavailableError{err}
	} else if err != nil {
		return err
	}
	if err := interrupted(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context, plan.Action) error{x.checkLeft, x.checkTrailing} {
		if err := x.each(ctx, step); err != nil {
			return err
		}
	}
	if err := x.decided(); err != nil {
		return err
	}
	if err := x.each(ctx, x.checkFiles); err != nil {
		return err
	}
	if err := x.checkTempRoom(ctx); err != nil {
		return err
	}
	if err := x.each(ctx, x.makeFilesystem); err != nil {
		return err
	}
	return x.stillThere()
}

// publishAll does all up to the table's commit.
func (x *run) publishAll(ctx context.Context) error {
	if err := x.decide(ctx); err != nil {
		return err
	}
	if err := x.grow(); err != nil {
		return err
	}
	for _, step := range []func(context.Context, plan.Action) error{x.finishShrink, x.checkShrink, x.checkKernel, x.shrinkMounted} {
		if err := x.each(ctx, step); err != nil {
			return err
		}
	}
	for _, step := range []func() error{x.mendTable, x.eraseOld, x.claimFree} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, plan.Action) error{x.prepare, x.backupCreated} {
		if err := x.each(ctx, step); err != nil {
			return err
		}
	}
	if err := x.blankGivenUp(); err != nil {
		return err
	}
	return x.publish()
}

// keys makes and proves the volumes of all actions that encrypt.
func (x *run) keys(ctx context.Context) error {
	return x.each(ctx, func(ctx context.Context, action plan.Action) error {
		v, err := x.newVolume(ctx, action)
		if err != nil && x.mayLeave(action, err) && ctx.Err() == nil {
			x.leave(action, err)
			return nil
		}
		if err != nil || v == nil {
			return err
		}
		x.reportAbsent(action, v)
		x.volumes[action.Partition()] = v
		return nil
	})
}

// newVolume makes the volume of an action, nil where it encrypts nothing or goes on
// with what was begun.
func (x *run) newVolume(ctx context.Context, action plan.Action) (*volume, error) {
	switch a := action.(type) {
	case plan.Create:
		if a.Encryption == nil {
			return nil, nil
		}
		return newVolume(ctx, x.env, *a.Encryption)
	case plan.Reencrypt:
		if a.Resume {
			var err error
			x.resumed[a.Number], err = x.judge(ctx, a)
			return nil, err
		}
		if a.Mode != plan.ModeRekey {
			return newProven(ctx, x.env, a.Encryption)
		}
		c, err := x.conversion(a)
		if err != nil {
			return nil, err
		}
		return c.newRekey(ctx)
	case plan.Enroll:
		return x.newEnroll(ctx, a)
	default:
		return nil, nil
	}
}

// prepare does what can be done before the table is written.
func (x *run) prepare(ctx context.Context, action plan.Action) error {
	if x.left[action.Partition()] {
		return nil
	}
	if err := x.unchanged(); err != nil {
		return err // what is free in the plan may be somebody's by now
	}
	switch a := action.(type) {
	case plan.Create:
		return x.create(ctx, a)
	case plan.Verity:
		return x.verity(ctx, a)
	case plan.Grow:
		return x.cleanGained(a)
	case plan.Reencrypt:
		if a.Room == plan.RoomGap && !a.Resume {
			return x.prepareGap(a, x.volumes[a.Number])
		}
		return x.markTrailing(a)
	}
	return nil
}

// convert does what comes after the table is written.
func (x *run) convert(ctx context.Context, action plan.Action) error {
	if x.left[action.Partition()] {
		return nil
	}
	switch a := action.(type) {
	case plan.Enroll:
		return x.enroll(a, x.volumes[a.Number])
	case plan.Reencrypt:
		return x.reencrypt(ctx, a, x.volumes[a.Number])
	default:
		return nil
	}
}

// each calls do for every action and stops at the first error, which then names
// the partition.
func (x *run) each(ctx context.Context, do func(context.Context, plan.Action) error) error {
	for _, action := range x.plan.Actions {
		if err := do(ctx, action); err != nil {
			return named(action, err)
		}
	}
	return nil
}

// named says which action an error is about.
func named(action plan.Action, err error) error {
	return fmt.Errorf("partition %d: %s: %w", action.Partition(), action.Kind(), err)
}

// interrupted returns ErrInterrupted once ctx is done.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	return nil
}

// wipe forgets every volume key, and lets go of what was made.
func (x *run) wipe() {
	for _, file := range x.made {
		_ = file.Close() // it has no name
	}
	for _, v := range x.volumes {
		v.wipe()
	}
	for _, j := range x.resumed {
		j.keys.wipe()
	}
}
