package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/gpt"
)

// publish writes the partition table, the one commit point of everything that was
// prepared and of all growth. What a power cut leaves at each of its writes is
// gpt's to say: always the whole old table or the whole new one.
func (x *run) publish() error {
	if err := x.unchanged(); err != nil || x.tableStays() {
		return err
	}
	entries := x.entries()
	_, writes, err := x.tableWrites(entries)
	if err != nil || len(writes) == 0 {
		return err
	}
	if err := x.dev.Sync(); err != nil { // what was prepared comes first
		return fmt.Errorf("flush the new partitions: %w", err)
	}
	if err := x.unchanged(); err != nil {
		return err // the flush may have taken long
	}
	state, writes, err := x.tableWrites(entries)
	if err != nil {
		return err
	}
	if err := state.Apply(x.dev, writes); err != nil {
		return fmt.Errorf("write the partition table: %w", err)
	}
	x.env.report(Event{Phase: Committed, Action: "publish"})
	if err := x.dev.TellKernel(x.before(), entries, x.snapshot.SectorSize); err != nil {
		return fmt.Errorf("the partition table is written, but the kernel does not follow it: %w", err)
	}
	return nil
}

// tableWrites returns how the disk gets the plan's table, by what is there now.
func (x *run) tableWrites(entries []disk.Entry) (*gpt.State, []gpt.Write, error) {
	state, err := x.table()
	if err != nil {
		return nil, nil, err
	}
	state.Release()
	writes, err := state.Writes(x.plan.Table, entries, x.dev.Size())
	return state, writes, err
}

// checkTable refuses a table that publish could not write, while nothing is written
// yet: prepare may take long, and overwrite what the table needs.
func (x *run) checkTable() error {
	if x.tableStays() {
		return nil
	}
	state, err := x.table()
	if err != nil {
		return err
	}
	_, err = state.Writes(x.plan.Table, x.plan.Entries(nil), max(x.dev.Size(), x.plan.Target.Size))
	return err
}

// mendTable writes the table as it is, both copies, where its only whole one lies in
// space that prepare may write to: the backup of a disk that has grown. What a power
// cut leaves is for gpt to say: always that table.
func (x *run) mendTable() error {
	if x.plan.NewTable || x.tableStays() {
		return nil
	}
	if err := x.unchanged(); err != nil {
		return err
	}
	state, err := x.table()
	if err != nil || !state.Exposed() {
		return err
	}
	writes, err := state.Writes(state.Table, state.Entries, x.dev.Size())
	if err != nil {
		return err
	}
	if err := state.Apply(x.dev, writes); err != nil {
		return fmt.Errorf("repair the partition table: %w", err)
	}
	return nil
}

// tableStays reports whether there is no table to write: that of an MBR disk stays as
// it is, and only the content of its partitions changes.
func (x *run) tableStays() bool { return x.plan.Table.Kind == disk.MBR }

// table returns the table to change: the disk's own, or a new one.
func (x *run) table() (*gpt.State, error) {
	if x.plan.NewTable {
		return gpt.New(x.dev.Size(), x.plan.Target.SectorSize, x.plan.Table.GUID)
	}
	return gpt.Read(x.dev, x.dev.Size(), x.plan.Target.SectorSize)
}

// before returns the partitions that the kernel knows so far.
func (x *run) before() []disk.Entry {
	var entries []disk.Entry
	for _, p := range x.snapshot.Partitions {
		entries = append(entries, p.Entry)
	}
	return entries
}
