package main

import (
	"sync/atomic"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/gpt"
)

// target is an open disk or image as the executor needs it.
type target struct {
	*blockdev.File
	changed atomic.Bool // something was written, or tried to be
}

// WriteAt writes.
func (t *target) WriteAt(p []byte, off int64) (int, error) {
	t.changed.Store(true)
	return t.File.WriteAt(p, off)
}

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
	return gpt.TellKernel(t.Fd(), before, after, sectorSize)
}
