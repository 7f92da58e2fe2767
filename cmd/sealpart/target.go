package main

import (
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/gpt"
)

// target is an open disk or image as the executor needs it.
type target struct{ *blockdev.File }

// TellKernel passes a new table on to the kernel where the disk is a block device.
func (t target) TellKernel(before, after []disk.Entry, sectorSize disk.Bytes) error {
	if !t.IsBlockDevice() {
		return nil
	}
	return gpt.TellKernel(t.Fd(), before, after, sectorSize)
}
