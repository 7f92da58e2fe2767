package gpt

import (
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
)

// What can be done about a table that is whole, and not worked on here. Each begins with
// what nobody should do: repair it.
const (
	remedyArray = "nothing is damaged; \"sfdisk --dump\" writes the table as text, and \"sfdisk\" makes of that text, " +
		"without its lines table-length and last-lba, one of 128 entries"
	remedyEntries = "nothing is damaged, but Linux does not read such a table either; the program that made it " +
		"can make one with entries of 128 bytes"
	remedyOverlap = "nothing is damaged: images of live systems are made like that, to be read as a whole; " +
		"make a disk of its own, and copy there what is to be changed"
	remedyOther = "nothing is damaged; a newer sealpart may know it"
)

// unsupportedError is ErrUnsupported, with what is not supported and what to do.
type unsupportedError struct {
	reason, remedy string
}

// unsupportedf makes the error of a table that is whole and cannot be worked on.
func unsupportedf(remedy, format string, args ...any) error {
	return &unsupportedError{fmt.Sprintf(format, args...), remedy}
}

// otherSectors is about a table that was made for disks with sectors of another size.
func otherSectors(made, has disk.Bytes) error {
	return unsupportedf(fmt.Sprintf("nothing is damaged, but no firmware and no kernel finds a partition here: "+
		"write an image that was made for sectors of %d bytes (--sector-size=%d), or use a disk with sectors of %d", has, has, made),
		"it was made for sectors of %d bytes, and the disk has sectors of %d", made, has)
}

// soundOr returns an error about a number: as it is where the specification allows the
// number, else as one of a damaged table.
func soundOr(sound bool, err error) error {
	if sound {
		return err
	}
	return errors.New(err.Error())
}

// Error says what is not supported.
func (e *unsupportedError) Error() string { return e.reason }

// Is reports whether target is ErrUnsupported.
func (*unsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Hint says what to do.
func (e *unsupportedError) Hint() string { return e.remedy }
