package planner

import "github.com/sealpart/sealpart/internal/disk"

// Reencrypt turns a partition that holds data into a LUKS2 volume in place, in
// cryptsetup's data-shift form: the file system moves up by Shift to make room
// for the header (see luks2, reencrypt.go).
//
// On the partition (size D, a multiple of 4096): the header takes [0, Shift), the
// data ends up at [Shift, Shift+DataSize), and [D-Shift, D) keeps the plain copy
// of the file system's first Shift bytes until all is done. DataSize is at most
// D - 2·Shift.
type Reencrypt struct {
	Number   int         `json:"number"`
	Extent   disk.Extent `json:"extent"` // on the disk, after growth
	DataSize disk.Bytes  `json:"data_size"`
	Shift    disk.Bytes  `json:"shift"`
	// ShrinkTo is the size the file system is shrunk to first, 0 for not at all.
	ShrinkTo   disk.Bytes `json:"shrink_to,omitempty"`
	Filesystem string     `json:"filesystem,omitempty"` // kind of the file system in it
	// Resume is set where a conversion was begun before; Encryption then holds
	// what the definition says, and the header on disk rules.
	Resume     bool       `json:"resume,omitempty"`
	Encryption Encryption `json:"encryption"`
	Why        string     `json:"reason"`
}

// Kind returns "reencrypt".
func (Reencrypt) Kind() string { return "reencrypt" }

// Partition returns the number of the converted partition.
func (r Reencrypt) Partition() int { return r.Number }

// Reason says why the partition is converted.
func (r Reencrypt) Reason() string { return r.Why }
