package executor

import (
	"context"
	"errors"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/secret"
)

// growBack makes the file system of a finished volume as large as the volume, where a
// kernel is there that can open it and may mount it. Where it is not, the partition has the
// attribute that lets systemd do that at the first mount: to fail here is no failure.
// A power cut leaves a file system of the old size or the new one.
func (c *conversion) growBack(ctx context.Context, key *secret.Buffer) {
	if err := c.tryGrowBack(ctx, key); err == nil {
		c.report(Committed, "file system grown", c.action.DataSize)
	}
}

// tryGrowBack opens the volume under a name of its own, and closes it again.
func (c *conversion) tryGrowBack(ctx context.Context, key *secret.Buffer) (err error) {
	if c.node == nil {
		return errors.New("the kernel does not know this disk, or is not to mount it")
	}
	on, err := c.node()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.Release()) }()
	return newOpening(c.header, c.part, on, key).whileOpen(ctx, "sealpart-grow-"+c.header.UUID, func(device string) error { return growOn(ctx, device) })
}

// growOn grows what is on an opened volume.
func growOn(ctx context.Context, device string) error {
	dev, err := blockdev.Open(device, blockdev.OpenOptions{})
	if err != nil {
		return err
	}
	snapshot, err := probe.Partitions(dev, 0)
	if err = errors.Join(err, dev.Close()); err != nil {
		return err
	}
	return mkfs.GrowMounted(ctx, device, snapshot.Content.Kind)
}
