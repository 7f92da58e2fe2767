package disk

import "fmt"

// Trailing is what was found between the end of a partition's file system and the end of
// the partition: the zero value where all of it reads as zero.
type Trailing struct {
	// Offset is where the first block begins that is not zero, on the disk.
	Offset Bytes `json:"offset"`
	// Kind is what a signature at Offset says that it is, as in Content; "" where none does.
	Kind string `json:"kind,omitempty"`
}

// Found reports whether anything is there.
func (t Trailing) Found() bool { return t != Trailing{} }

// Describe says what was found and where, on a disk of the given sector size.
func (t Trailing) Describe(sectorSize Bytes) string {
	what := "data of no known kind"
	if t.Kind != "" {
		what = t.Kind
	}
	return fmt.Sprintf("%s at byte %d of the disk (LBA %d)", what, t.Offset, t.Offset/max(sectorSize, 1))
}
