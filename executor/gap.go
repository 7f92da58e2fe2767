package executor

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/planner/plan"
)

// prepareGap writes the header of a volume whose data is all plain still into the
// free space before the partition. A power cut leaves the old disk. The table that
// is published afterwards lets the partition begin at the header: that write is the
// instant in which it becomes a LUKS2 volume, and nothing of its data has changed.
func (x *run) prepareGap(a plan.Reencrypt, v *volume) error {
	c, err := x.conversion(a)
	if err != nil {
		return err
	}
	if err := x.checkGap(a); err != nil {
		return err
	}
	data, err := blockdev.NewSection(c.part, disk.Extent{Offset: a.Shift, Size: a.Extent.Size - a.Shift})
	if err != nil {
		return err
	}
	if err := c.checkPlain(data); err != nil {
		return err
	}
	if v.header.DataOffset() != int64(a.Shift) {
		return fmt.Errorf("the header says that the data is at %d, and it is at %d", v.header.DataOffset(), a.Shift)
	}
	if err := c.beginForward(v); err != nil {
		return err
	}
	if err := c.writeKeyslots(v.front.bytes, 0); err != nil {
		return fmt.Errorf("write the header: %w", err)
	}
	return c.part.Sync()
}

// checkGap holds the plan against the disk once more: the data begins where the
// partition begins now, and before it no partition lies where the header goes.
func (x *run) checkGap(a plan.Reencrypt) error {
	gap := disk.Extent{Offset: a.Extent.Offset, Size: a.Shift}
	found := false
	for _, p := range x.snapshot.Partitions {
		if p.Extent.Overlaps(gap) {
			return fmt.Errorf("the place for the header, %d bytes at %d, is not free: partition %d is there", gap.Size, gap.Offset, p.Number)
		}
		found = found || p.Number == a.Number && p.Offset == gap.End()
	}
	if !found {
		return fmt.Errorf("the partition does not begin at %d now, where its header would end", gap.End())
	}
	return nil
}
