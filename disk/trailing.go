package disk

import "fmt"

// Trailing is what was found where nothing should be, between the end of a partition's file
// system and the end of the partition, or where no partition is: the zero value where there
// is nothing.
type Trailing struct {
	// Offset is where it begins, on the disk.
	Offset Bytes `json:"offset"`
	// Kind is what a signature there says that it is, as in Content, or the name of a boot
	// loader; "" where none does.
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
