package plan

import (
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Verity computes the dm-verity hash tree over a data partition and writes it to
// a new hash partition. The root hash gives both partitions their UUIDs.
type Verity struct {
	Data          int         `json:"data"` // partition numbers
	Hash          int         `json:"hash"`
	DataExtent    disk.Extent `json:"data_extent"`
	HashExtent    disk.Extent `json:"hash_extent"`
	DataBlockSize disk.Bytes  `json:"data_block_size"`
	HashBlockSize disk.Bytes  `json:"hash_block_size"`
	Salt          string      `json:"salt"` // hex
	UUID          uuid.UUID   `json:"uuid"` // of the superblock
	Why           string      `json:"reason"`
}

// Kind returns "verity".
func (Verity) Kind() string { return "verity" }

// Partition returns the number of the hash partition.
func (v Verity) Partition() int { return v.Hash }

// Reason says why the hash tree is made.
func (v Verity) Reason() string { return v.Why }

const verityDigest disk.Bytes = 32 // SHA-256

// MaxVerityBlock is the largest block size of the superblock format.
const MaxVerityBlock disk.Bytes = 512 * disk.KiB

// TreeSize returns what the superblock and the hash tree over data take. Levels
// are added until one block is left; a single data block has no tree at all.
func TreeSize(data, dataBlock, hashBlock disk.Bytes) disk.Bytes {
	fanout, level := hashBlock/verityDigest, data/dataBlock
	blocks := disk.Bytes(1) // the superblock takes the first
	for level > 1 {
		level = (level + fanout - 1) / fanout
		blocks += level
	}
	return blocks * hashBlock
}
