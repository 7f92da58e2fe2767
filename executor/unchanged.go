package executor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/gpt"
)

// unchanged fails with ErrStale where the disk has another partition table than the one the
// plan was made for. Locks keep only those programs away that ask for them, and to make keys
// takes time; so it comes right before each step that writes by that table. What was
// written until then lies in space that was free. Where the plan makes a new table, no
// table is none either: the old one may be among what was erased.
func (x *run) unchanged() error {
	table, entries, err := x.tableNow()
	if err != nil {
		return err
	}
	want := x.snapshot.Table
	if want.Kind == disk.Bare {
		want.Kind = disk.NoTable
	}
	if x.dev.Size() != x.snapshot.Size {
		want.LastUsable = table.LastUsable // the image was made larger by us
	}
	if x.plan.NewTable && table.Kind == disk.NoTable {
		return nil
	}
	if table != want || !slices.Equal(entries, x.before()) {
		return fmt.Errorf("%w: another program wrote the partition table", ErrStale)
	}
	return nil
}

// tableNow returns the table that is on the disk; one that cannot be used is none.
func (x *run) tableNow() (disk.Table, []disk.Entry, error) {
	state, err := gpt.Read(x.dev, x.dev.Size(), x.plan.Target.SectorSize)
	switch {
	case err == nil && state.Begun(): // by this run, or by one before it: see claimFree
		return disk.Table{}, nil, nil
	case err == nil:
		return state.Table, state.Entries, nil
	case errors.Is(err, gpt.ErrMBR):
		entries, err := gpt.ReadMBR(x.dev, x.snapshot.SectorSize)
		return disk.Table{Kind: disk.MBR}, entries, err
	case errors.Is(err, gpt.ErrNone), errors.Is(err, gpt.ErrDamaged), errors.Is(err, gpt.ErrUnsupported):
		return disk.Table{}, nil, nil
	}
	return disk.Table{}, nil, err
}

// stillThere fails with ErrStale where something has come or gone since the keys were made,
// and nothing is written yet. Of a disk that gets a new table that is all there is on it; of
// another the table alone, for the other partitions of it may be in use.
func (x *run) stillThere() error {
	if !x.plan.NewTable {
		return x.unchanged()
	}
	now, err := probeFor(x.dev, x.plan)
	if err == nil && now.Fingerprint() != x.snapshot.Fingerprint() {
		err = ErrStale
	}
	return err
}
