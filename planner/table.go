package planner

import (
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// ErrLabelRefused says that Options.Empty does not allow the partition table that
// is there, or its absence. The command then exits with 77, as systemd-repart does.
var ErrLabelRefused = errors.New("partition table refused")

// Sizes of a new table, in the form that sfdisk also makes.
const (
	newTableSlots            = 128
	firstUsable   disk.Bytes = disk.MiB // leaves room for boot loaders, aligns well
)

// chooseTable decides between the table that is there and a new one.
func (l *layout) chooseTable(defs []definitions.Definition) error {
	if l.worksOnMBR(defs) {
		l.table = l.snap.Table
		return l.validatePartitions(plan.MBRSlots)
	}
	if err := l.checkLabel(); err != nil {
		return err
	}
	l.newTable = l.snap.Table.Kind != disk.GPT || l.opts.Empty == EmptyForce || l.opts.Empty == EmptyCreate
	size := l.diskSize()
	if l.newTable {
		l.table = disk.Table{
			Kind: disk.GPT, GUID: derive(l.opts.Seed, []byte("disk-uuid")), Slots: newTableSlots,
			FirstUsable: firstUsable.LBA(l.snap.SectorSize),
		}
	} else {
		l.table = l.snap.Table
	}
	last := plan.LastUsable(size, l.snap.SectorSize, l.table.Slots)
	// A disk larger than its table (an image written to a larger disk, or a grown
	// file) is taken to its end; a table that says less than that is moved.
	l.table.LastUsable = max(l.table.LastUsable, last)
	if l.table.LastUsable > last && l.table.LastUsable.Offset(l.snap.SectorSize) >= size {
		return fmt.Errorf("the partition table ends behind the disk: last usable sector %d, disk of %s", l.table.LastUsable, size)
	}
	l.usable = plan.UsableExtent(l.table, l.snap.SectorSize, l.grain)
	if l.usable.Size <= 0 {
		return fmt.Errorf("a disk of %s is too small for a partition table and a partition", size)
	}
	return nil
}

// checkLabel applies the rules of Options.Empty.
func (l *layout) checkLabel() error {
	kind := l.snap.Table.Kind
	switch l.opts.Empty {
	case EmptyForce, EmptyCreate:
		return nil
	case EmptyRefuse, "":
		if kind != disk.GPT {
			return fmt.Errorf("%w: %s holds %s, and --empty=refuse wants a GPT", ErrLabelRefused, l.snap.Path, describeLabel(l.snap))
		}
	case EmptyAllow:
		if kind != disk.GPT && kind != disk.NoTable {
			return fmt.Errorf("%w: %s holds %s, which only --empty=force replaces", ErrLabelRefused, l.snap.Path, describeLabel(l.snap))
		}
	case EmptyRequire:
		if kind != disk.NoTable {
			return fmt.Errorf("%w: %s holds %s, and --empty=require wants an empty disk", ErrLabelRefused, l.snap.Path, describeLabel(l.snap))
		}
	default:
		return fmt.Errorf("unknown mode %q for empty disks", l.opts.Empty)
	}
	return nil
}

// checkWritable refuses a plan whose table could not be written: where its backup goes
// lies a partition, or where its primary copy goes lies something else. Every plan
// but an empty one writes both copies.
func (l *layout) checkWritable(p *plan.Plan) error {
	if p.Empty() || p.NewTable || p.Table.Kind != disk.GPT {
		return nil
	}
	if reason := l.snap.Unwritable; reason != "" {
		return &TableError{l.snap.Path, reason,
			"if what lies there may go, \"gdisk\" rebuilds the primary partition table from the backup (r, b, w)"}
	}
	size := plan.BackupSectors(l.snap.SectorSize, p.Table.Slots).Offset(l.snap.SectorSize)
	end := p.Target.Size.RoundDown(l.snap.SectorSize)
	backup := disk.Extent{Offset: end - size, Size: size}
	for _, r := range p.Rows {
		if r.Activity != plan.ActivityDelete && r.Overlaps(backup) {
			return &TableError{l.snap.Path,
				fmt.Sprintf("partition %d ends at byte %d, over the backup partition table, which starts at byte %d", r.Number, r.End(), backup.Offset),
				"make the partition and what is in it smaller, or the disk larger (--size, for an image file)"}
		}
	}
	if last := plan.LastUsable(p.Target.Size, l.snap.SectorSize, p.Table.Slots); p.Table.LastUsable > last {
		return &TableError{l.snap.Path,
			fmt.Sprintf("the last usable sector %d lies in the place of the backup partition table, which leaves sectors up to %d", p.Table.LastUsable, last),
			"make the disk larger (--size, for an image file), or the table smaller: \"sfdisk --dump\", take out its last-lba, and write it with \"sfdisk\""}
	}
	return nil
}

// describeLabel says what begins a disk, and of what nobody knows, where it lies.
func describeLabel(snap disk.Snapshot) string {
	switch snap.Table.Kind {
	case disk.GPT:
		return "a GPT"
	case disk.MBR:
		return "an MBR partition table"
	case disk.Bare:
		if snap.Content.Kind == "" {
			return snap.Content.Problem
		}
		return "data without a partition table"
	}
	return "no partition table"
}

// diskSize returns the size of the disk after apply. Disks never get smaller.
func (l *layout) diskSize() disk.Bytes {
	return max(l.snap.Size, l.opts.Size.RoundUp(l.snap.SectorSize))
}
