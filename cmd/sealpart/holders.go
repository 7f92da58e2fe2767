package main

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/planner/plan"
)

// checkHolders refuses to convert or replace what is in use, and to write anything to a disk
// that is in use as a whole: its table is not what its user goes by.
func checkHolders(dev *blockdev.File, plan *plan.Plan) error {
	holders, err := dev.Holders()
	if err != nil {
		return err
	}
	for _, holder := range holders {
		if holder.Kind != blockdev.Looped && holder.Extent == (disk.Extent{Size: dev.Size()}) {
			return &inUseError{plan, holder}
		}
		for _, e := range plan.Rewrites() {
			if holder.Extent.Overlaps(e) {
				return &inUseError{plan, holder}
			}
		}
	}
	return nil
}

// inUseError is a disk, or a part of it, that is in use and that the plan rewrites.
type inUseError struct {
	plan   *plan.Plan
	holder blockdev.Holder
}

// Error names the disk, the partition that is in use, and by what.
func (e *inUseError) Error() string {
	for _, r := range e.plan.Rows {
		if r.Old != nil && r.Old.Extent == e.holder.Extent {
			return fmt.Sprintf("%s: partition %s would be rewritten and is in use: %s", e.plan.Target.Path, spokenPartition(e.plan, r.Old.Number), e.holder)
		}
	}
	return fmt.Sprintf("%s: it would be rewritten and is in use: %s", e.plan.Target.Path, e.holder)
}

// Hint says how to bring that use to its end.
func (e *inUseError) Hint() string {
	switch e.holder.Kind {
	case blockdev.Mounted:
		return "unmount it, or run before it is mounted: in the initramfs"
	case blockdev.Swap:
		return "take it out of use with \"swapoff\", or run before it is used: in the initramfs"
	case blockdev.Looped:
		return "name the loop device instead of the file, or detach it with \"losetup -d\""
	default:
		return "close what holds it (see \"lsblk\"), or run before it is opened: in the initramfs"
	}
}
