package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/planner/plan"
)

// publish writes the partition table, the one commit point of everything that was
// prepared and of all growth. What a power cut leaves at each of its writes is
// gpt's to say: always the whole old table or the whole new one.
func (x *run) publish() error {
	if err := x.unchanged(); err != nil || tableStays(x.plan) {
		return err
	}
	entries := x.entries()
	_, writes, err := tableWrites(x.dev, x.plan, entries)
	if err != nil || len(writes) == 0 {
		return err
	}
	if err := x.dev.Sync(); err != nil { // what was prepared comes first
		return fmt.Errorf("flush the new partitions: %w", err)
	}
	if err := x.unchanged(); err != nil {
		return err // the flush may have taken long
	}
	state, writes, err := tableWrites(x.dev, x.plan, entries)
	if err != nil {
		return err
	}
	x.tabled = true
	if err := state.Apply(x.dev, writes); err != nil {
		return fmt.Errorf("write the partition table: %w", err)
	}
	x.env.report(Event{Phase: Committed, Action: "publish"})
	if err := x.dev.TellKernel(x.before(), entries, x.snapshot.SectorSize); err != nil {
		return fmt.Errorf("the partition table is written, but the kernel does not follow it: %w", err)
	}
	return nil
}

// mendTable writes the table as it is, both copies, where its only whole one lies in
// space that prepare may write to: the backup of a disk that has grown. What a power
// cut leaves is for gpt to say: always that table.
func (x *run) mendTable() error {
	if x.plan.NewTable || tableStays(x.plan) {
		return nil
	}
	if err := x.unchanged(); err != nil {
		return err
	}
	state, err := tableOf(x.dev, x.plan)
	if err != nil || !state.Exposed() {
		return err
	}
	writes, err := state.Writes(state.Table, state.Entries, x.dev.Size())
	if err != nil {
		return err
	}
	x.began = 0 // the backup comes to the end as it is now
	if err := state.Apply(x.dev, writes); err != nil {
		return fmt.Errorf("repair the partition table: %w", err)
	}
	return nil
}

// tableStays reports whether there is no table to write: that of an MBR disk stays as
// it is, and only the content of its partitions changes.
func tableStays(plan *plan.Plan) bool { return plan.Table.Kind == disk.MBR }

// tableWrites returns how the disk gets the plan's table, with these entries, by what is there
// now. An image that is still to grow has its size after that.
func tableWrites(dev blockdev.Device, plan *plan.Plan, entries []disk.Entry) (*gpt.State, []gpt.Write, error) {
	state, err := tableOf(dev, plan)
	if err != nil {
		return nil, nil, err
	}
	state.Release()
	writes, err := state.Writes(plan.Table, entries, max(dev.Size(), plan.Target.Size))
	return state, writes, err
}

// tableOf returns the table to change: the disk's own, or a new one. An image may be too small
// for that until it has grown.
func tableOf(dev blockdev.Device, plan *plan.Plan) (*gpt.State, error) {
	if plan.NewTable {
		return gpt.New(max(dev.Size(), plan.Target.Size), plan.Target.SectorSize, plan.Table.GUID)
	}
	return gpt.Read(dev, dev.Size(), plan.Target.SectorSize)
}

// before returns the partitions that the kernel knows so far.
func (x *run) before() []disk.Entry {
	var entries []disk.Entry
	for _, p := range x.snapshot.Partitions {
		entries = append(entries, p.Entry)
	}
	return entries
}
