package plan

import (
	"github.com/sealpart/sealpart/disk"
)

// Reencrypt rewrites the data of a partition in place: a plain file system becomes a
// LUKS2 volume, or a volume gets another volume key.
//
// Where the header of a new volume has its room behind the data, in cryptsetup's
// data-shift form, the file system moves up by Shift. On the partition (size D,
// counted in whole 4096-byte blocks): the header takes [0, Shift), the data ends up
// at [Shift, Shift+DataSize), and [D-Shift, D) keeps the plain copy of the file
// system's first Shift bytes until all is done. DataSize is at most D - 2·Shift.
//
// With the header in the gap before the partition nothing moves: Extent begins Shift
// lower than the partition does now, and its data where it does now. With a header in
// a file, Shift is 0. In both, and where a volume gets another key, everything from
// Shift on is rewritten.
type Reencrypt struct {
	Number int         `json:"number"`
	Mode   Mode        `json:"mode"`
	Room   Room        `json:"room,omitempty"` // of ModeEncrypt, where it is begun or the header a file
	Extent disk.Extent `json:"extent"`         // on the disk, as published
	// DataSize is how much is converted: logical bytes from the start.
	DataSize disk.Bytes `json:"data_size"`
	// Shift is where the encrypted data starts on the partition, and for
	// RoomBehind how far it moves.
	Shift disk.Bytes `json:"shift"`
	// ShrinkTo is the size the file system is shrunk to first, 0 for not at all.
	ShrinkTo   disk.Bytes `json:"shrink_to,omitempty"`
	Filesystem string     `json:"filesystem,omitempty"` // kind of the file system in it
	// FreeSpace is definitions.FreeDiscard where blocks that the file system does not
	// use are discarded or zeroed; "" where they are encrypted like the others.
	FreeSpace string `json:"free_space,omitempty"`
	// Trailing is definitions.TrailingDiscard where what lies behind the file system on its
	// partition may go; "" where it must read as zero.
	Trailing string `json:"trailing,omitempty"`
	// HeaderPath is the file that takes the header, for RoomDetached.
	HeaderPath string `json:"header_path,omitempty"`
	// ExistingKey is the key source that opens the volume, for ModeRekey: a keyslot
	// that it opens is gone at the end. "" where a conversion goes on without.
	ExistingKey string `json:"existing_key,omitempty"`
	// Resume is set where a conversion was begun before; Encryption then holds
	// what the definition says, and the header on disk rules.
	Resume     bool       `json:"resume,omitempty"`
	Encryption Encryption `json:"encryption"`
	Why        string     `json:"reason"`
}

// Mode is what a conversion does (LUKS2's words).
type Mode string

// The modes of a conversion.
const (
	ModeEncrypt Mode = "encrypt"   // plain to LUKS2
	ModeRekey   Mode = "reencrypt" // LUKS2 to another volume key
)

// Room is where the header of an encryption in place goes.
type Room string

// The rooms for a header.
const (
	RoomBehind   Room = "behind"   // the data moves up by Shift into space behind the file system
	RoomGap      Room = "gap"      // free space before the partition; nothing moves
	RoomDetached Room = "detached" // a file elsewhere; nothing moves
)

// Kind returns "reencrypt".
func (Reencrypt) Kind() string { return "reencrypt" }

// Partition returns the number of the converted partition.
func (r Reencrypt) Partition() int { return r.Number }

// Reason says why the partition is converted.
func (r Reencrypt) Reason() string { return r.Why }

// MovedBy returns how far the data of a conversion that is to begin moves, 0 where it stays.
func (r Reencrypt) MovedBy() disk.Bytes {
	if r.Room == RoomBehind {
		return r.Shift
	}
	return 0
}
