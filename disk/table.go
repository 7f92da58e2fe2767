package disk

import (
	"github.com/google/uuid"
)

// Entry is one partition as the table describes it (UEFI 2.10, section 5.3.3).
type Entry struct {
	Number     int       `json:"number"` // slot in the table, from 1
	Type       uuid.UUID `json:"type"`
	UUID       uuid.UUID `json:"uuid"`
	Name       string    `json:"name"`       // at most 36 UTF-16 code units
	Attributes uint64    `json:"attributes"` // bit numbers as in the specification
	Extent
}

// TableKind says which partition table a disk carries.
type TableKind string

// The kinds of partition table a Snapshot can hold.
const (
	NoTable TableKind = ""
	GPT     TableKind = "gpt"
	MBR     TableKind = "mbr"
	Bare    TableKind = "bare" // no table; some other content starts at sector 0
)

// Table is a partition table. For a GPT the usable range is that of the header;
// for other kinds GUID, the LBAs and Slots are zero.
type Table struct {
	Kind        TableKind `json:"kind"`
	GUID        uuid.UUID `json:"guid"`
	FirstUsable LBA       `json:"first_usable"`
	LastUsable  LBA       `json:"last_usable"` // inclusive
	Slots       int       `json:"slots"`       // length of the entry array
}
