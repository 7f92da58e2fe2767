// Package blockdev is the seam through which all disk I/O goes: image files and
// block devices here, a memory device that traces, fails and crashes in simdev.
package blockdev

import (
	"io"

	"github.com/sealpart/sealpart/disk"
)

// Device is a disk, or a part of one. Offsets count from its own start. Reads and
// writes beyond Size fail; a write is durable only after Sync returned nil.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes every write that returned before it durable.
	Sync() error
	// Size returns the device's size; it never changes while the device is open,
	// but for File.Grow.
	Size() disk.Bytes
	// SectorSize returns the logical block size, or 0 for an image file, whose
	// sector size only its partition table tells.
	SectorSize() disk.Bytes
	// Discard drops e's content. What is read there afterwards is unspecified on
	// a block device, and zero in a file. Devices that cannot discard return nil.
	Discard(e disk.Extent) error
	// Name is a path for messages.
	Name() string
}
