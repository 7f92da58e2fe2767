package main

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/claim"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/planner/plan"
)

// target is an open disk or image as the executor needs it.
type target struct {
	*blockdev.File
	changed atomic.Bool // something was written, or tried to be
	claim   *claim.Nodes
	plan    *plan.Plan
}

// claimed takes what a plan rewrites for us alone, and looks once more who uses it: there
// was time since the plan was made.
func claimed(dev *blockdev.File, p *plan.Plan) (*target, error) {
	nodes, err := claim.Take(dev, p.Rewrites())
	if err == nil {
		err = checkHolders(dev, p)
	} else if inUse := checkHolders(dev, p); inUse != nil {
		err = inUse // which says who
	}
	if err != nil && nodes != nil {
		err = errors.Join(err, nodes.Close())
	}
	return &target{File: dev, claim: nodes, plan: p}, err
}

// WriteAt writes.
func (t *target) WriteAt(p []byte, off int64) (int, error) {
	t.changed.Store(true)
	return t.File.WriteAt(p, off)
}

// Touch notes that something is written by others for us: programs, or the kernel.
func (t *target) Touch() { t.changed.Store(true) }

// Discard discards.
func (t *target) Discard(e disk.Extent) error {
	t.changed.Store(true)
	return t.File.Discard(e)
}

// TellKernel passes a new table on to the kernel where the disk is a block device.
func (t *target) TellKernel(before, after []disk.Entry, sectorSize disk.Bytes) error {
	if !t.IsBlockDevice() {
		return nil
	}
	// What the kernel has of an older table goes, also where it begins at the same place.
	stay := func(e disk.Extent) bool {
		same := func(t disk.Entry) bool { return t.Extent == e }
		return (slices.ContainsFunc(before, same) || slices.ContainsFunc(after, same)) &&
			slices.ContainsFunc(after, func(a disk.Entry) bool { return a.Offset == e.Offset })
	}
	return t.claim.Follow(stay, converted(t.plan), func() error { return gpt.TellKernel(t.Fd(), before, after, sectorSize) })
}

// converted returns the places of the partitions whose data is still rewritten when the
// table is there.
func converted(p *plan.Plan) (extents []disk.Extent) {
	for _, a := range p.Actions {
		if r, ok := a.(plan.Reencrypt); ok {
			extents = append(extents, r.Extent)
		}
	}
	return extents
}

// NodeOf finds a part for the kernel to use, and lets it have that until it is released.
func (t *target) NodeOf(e disk.Extent) (blockdev.Node, error) {
	node, err := t.File.NodeOf(e)
	if err != nil || !t.IsBlockDevice() {
		return node, err
	}
	back, err := t.claim.Lend(node.Device)
	if err != nil {
		return node, errors.Join(err, node.Release())
	}
	release := node.Release
	node.Release = func() error { return errors.Join(release(), back()) }
	return node, nil
}
