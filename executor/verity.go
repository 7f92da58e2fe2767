package executor

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/sealpart/sealpart/verity"
)

// verity writes the hash tree over a data partition into a new hash partition. A
// power cut leaves the old disk: neither is in the table yet.
func (x *run) verity(ctx context.Context, a plan.Verity) error {
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Hash, Total: a.DataExtent.Size})
	data, err := blockdev.NewSection(x.dev, a.DataExtent)
	if err != nil {
		return err
	}
	hash, err := blockdev.NewSection(x.dev, a.HashExtent)
	if err != nil {
		return err
	}
	if err := x.clean(hash, false); err != nil {
		return err
	}
	root, err := verity.Format(ctx, data, hash, x.verityOptions(a))
	if err != nil {
		return err
	}
	x.env.report(Event{Phase: Done, Action: a.Kind(), Partition: a.Hash, Done: a.DataExtent.Size, Total: a.DataExtent.Size})
	return x.derive(a, root)
}

// verityOptions translates the action.
func (x *run) verityOptions(a plan.Verity) verity.Options {
	salt, _ := hex.DecodeString(a.Salt) // checked by plan.Check
	return verity.Options{
		Superblock: verity.Superblock{
			UUID: a.UUID, Algorithm: "sha256", DataBlockSize: int(a.DataBlockSize), HashBlockSize: int(a.HashBlockSize),
			DataBlocks: int64(a.DataExtent.Size / a.DataBlockSize), Salt: salt,
		},
		Progress: func(done int64) {
			x.env.report(Event{Phase: Progress, Action: a.Kind(), Partition: a.Hash, Done: disk.Bytes(done), Total: a.DataExtent.Size})
		},
	}
}

// derive sets the UUIDs that come from the root hash: its first 16 bytes are the
// data partition's, its last 16 the hash partition's (Discoverable Partitions
// Specification).
func (x *run) derive(a plan.Verity, root []byte) error {
	first, err := uuid.FromBytes(root[:16])
	if err != nil {
		return fmt.Errorf("root hash: %w", err)
	}
	last, err := uuid.FromBytes(root[len(root)-16:])
	if err != nil {
		return fmt.Errorf("root hash: %w", err)
	}
	for _, row := range x.plan.Rows {
		switch {
		case !row.UUIDDerived:
		case row.Number == a.Data:
			x.derived[row.Number] = first
		case row.Number == a.Hash:
			x.derived[row.Number] = last
		}
	}
	return nil
}
