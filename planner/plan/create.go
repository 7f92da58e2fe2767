package plan

import (
	"github.com/sealpart/sealpart/disk"
)

// Create writes a new partition into unallocated space: its file system or a
// copy of blocks, inside LUKS2 where Encryption is set. With neither, the space is
// only wiped of old signatures.
type Create struct {
	Number     int         `json:"number"`
	Extent     disk.Extent `json:"extent"` // on the disk
	Filesystem *Filesystem `json:"filesystem,omitempty"`
	CopyBlocks string      `json:"copy_blocks,omitempty"`
	Encryption *Encryption `json:"encryption,omitempty"`
	Discard    bool        `json:"discard,omitempty"` // discard the extent first
	Why        string      `json:"reason"`
}

// Kind returns "create".
func (Create) Kind() string { return "create" }

// Partition returns the number of the new partition.
func (c Create) Partition() int { return c.Number }

// Reason says why the partition is made.
func (c Create) Reason() string { return c.Why }
