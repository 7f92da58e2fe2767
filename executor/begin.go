package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// reencrypt converts a partition, or finishes a conversion begun earlier. fresh is
// the proven volume for a new conversion, nil for resuming.
func (x *run) reencrypt(ctx context.Context, a plan.Reencrypt, fresh *volume) error {
	c, err := x.conversion(a)
	if err != nil {
		return err
	}
	switch {
	case a.Room == plan.RoomDetached:
		return c.detached(ctx, fresh)
	case a.Resume:
		return c.resume(ctx)
	case a.Mode == plan.ModeRekey:
		return c.beginRekey(ctx, fresh)
	case a.Room == plan.RoomGap:
		c.header = fresh.header // prepared, and published with the table
		return c.convert(ctx, fresh.keys())
	}
	if a.ShrinkTo > 0 && !shrinksMounted(a) {
		if err := x.shrink(ctx, a, x.shrinkExt); err != nil {
			return err
		}
	}
	return c.begin(ctx, fresh)
}

// conversion returns that of an action's partition.
func (x *run) conversion(a plan.Reencrypt) (*conversion, error) {
	part, err := blockdev.NewSection(x.dev, a.Extent)
	if err != nil {
		return nil, err
	}
	c := newConversion(x.env, x.pipeline, part, a)
	c.judged, c.uuid = x.resumed[a.Number], x.uuids[a.Number]
	c.keys = c.judged.keys
	c.finishing = func() { x.backupAhead(a, c.header, c.home) }
	if dev, ok := x.dev.(onMachine); ok {
		c.image = !dev.IsBlockDevice()
	}
	if dev, err := x.mountable(); err == nil {
		c.node = func() (blockdev.Node, error) {
			node, err := dev.NodeOf(a.Extent)
			release := node.Release
			node.Release = func() error { return errors.Join(release(), dev.Forget()) }
			return node, err
		}
	}
	if a.Extent.Offset%claimBlock == 0 {
		c.atomic = atomicUnit(x.dev)
	}
	return c, nil
}

// begin turns the plain partition into a volume in conversion, with a shift, and
// converts it.
func (c *conversion) begin(ctx context.Context, v *volume) error {
	if err := c.checkPlain(c.part); err != nil {
		return err
	}
	c.header = v.header
	err := v.header.BeginEncrypt(luks2.EncryptOptions{
		Shift: int64(c.action.Shift), DeviceSize: int64(c.deviceSize()), DataSize: int64(c.action.DataSize), Rand: c.env.Random,
	}, v.key.Bytes())
	if err != nil {
		return err
	}
	if err := noteWipe(v.header, v.key, disk.Extent{}, c.toClear(c.part)); err != nil {
		return err
	}
	if err := v.header.Commit(v.front); err != nil {
		return err
	}
	if err := c.init(ctx, v.front); err != nil {
		return err
	}
	c.report(Committed, "header", 0)
	return c.convert(ctx, v.keys())
}

// beginForward makes the header of a volume whose data is all plain and stays where
// it is: still in memory.
func (c *conversion) beginForward(v *volume) error {
	c.header = v.header
	options := c.forwardOptions(v.header.SectorSize())
	if err := v.header.BeginEncryptForward(options, v.key.Bytes()); err != nil {
		return err
	}
	if room := int64(c.action.DataSize); room > options.DeviceSize-v.header.DataOffset() {
		return fmt.Errorf("%d bytes are to be encrypted, and there are %d", room, options.DeviceSize-v.header.DataOffset())
	}
	plain, err := blockdev.NewSection(c.part, disk.Extent{Offset: c.action.Shift, Size: c.part.Size() - c.action.Shift})
	if err != nil {
		return err
	}
	if err := noteWipe(v.header, v.key, disk.Extent{}, c.toClear(plain)); err != nil {
		return err
	}
	return v.header.Commit(v.front)
}
