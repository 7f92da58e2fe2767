package gpt

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// What Read finds instead of a table.
var (
	// ErrNone: the disk has no partition table. It may be blank or hold something
	// else; the caller has to look before making a table.
	ErrNone = errors.New("there is no partition table")
	// ErrMBR: the disk has an MBR table with partitions and no GPT; see ReadMBR.
	ErrMBR = errors.New("the disk has an MBR partition table, not a GPT")
	// ErrDamaged: there is a GPT, but no copy of it can be used. The disk holds
	// somebody's data and must not be labelled anew; sgdisk may help a human.
	ErrDamaged = errors.New("the GPT is damaged")
	// ErrUnsupported: there is a GPT that is whole, and of a form that is not worked on
	// here. Nothing is to be repaired. The error has a Hint of what can be done.
	ErrUnsupported = errors.New("the GPT is whole, and of a form that is not supported")
)

// sectorSizes are those that Read tries on an image file, whose table alone knows.
var sectorSizes = []disk.Bytes{512, 4096}

// Read reads the partition table of a disk of size bytes. sectorSize is the
// logical block size of a block device, or 0 for an image file: then the table
// that is there reports whether it was made for sectors of 512 or of 4096 bytes.
//
// Errors are ErrNone, ErrMBR, ErrDamaged or ErrUnsupported (for errors.Is), or a failure to
// read.
// Whatever the disk holds, Read takes a few hundred KiB of memory and, where the
// primary copy is lost, at most a few thousand reads of one sector.
func Read(r io.ReaderAt, size, sectorSize disk.Bytes) (*State, error) {
	if sectorSize != 0 {
		return readKnown(r, size, sectorSize)
	}
	var found *State
	var damage error
	for _, try := range sectorSizes {
		s, err := readAs(r, size, try)
		switch {
		case err == nil && s.primary != nil:
			return s, nil
		case err == nil && found == nil:
			found = s // a remnant of a table for other sectors can lie at the end
		case err != nil && saysMore(err, damage):
			damage = err
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, damage
}

// saysMore reports whether, of two reasons why there is no usable table, a says more than b.
func saysMore(a, b error) bool {
	return b == nil || errors.Is(b, ErrNone) || errors.As(a, new(truncatedError)) || errors.Is(a, ErrUnsupported)
}

// readKnown reads the table of a disk whose sector size is known. A table made for
// another sector size is not blank space.
func readKnown(r io.ReaderAt, size, sectorSize disk.Bytes) (*State, error) {
	s, err := readAs(r, size, sectorSize)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNone) {
		return s, err
	}
	for _, other := range sectorSizes {
		if s, otherErr := readAs(r, size, other); other != sectorSize && otherErr == nil && s.primary != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnsupported, otherSectors(other, sectorSize))
		}
	}
	return nil, err
}

// readAs reads the table of a disk with the given sector size.
func readAs(r io.ReaderAt, size, sectorSize disk.Bytes) (*State, error) {
	if err := checkSectorSize(sectorSize); err != nil {
		return nil, err
	}
	src := source{r: r, sectorSize: sectorSize, sectors: size.LBA(sectorSize)}
	if src.sectors < 3 {
		return nil, fmt.Errorf("%w: the disk is too small for one (%d bytes)", ErrNone, size)
	}
	first, err := src.read(0, 1)
	if err != nil {
		return nil, err
	}
	mbr := first[:mbrSize]
	if classify(mbr) == mbrPlain {
		return nil, ErrMBR // whatever else is there is a remnant: firmware and kernel use the MBR
	}
	return readCopies(src, size, mbr)
}

// checkSectorSize refuses what no disk with a GPT has.
func checkSectorSize(n disk.Bytes) error {
	if !slices.Contains([]disk.Bytes{512, 1024, 2048, 4096}, n) {
		return fmt.Errorf("sectors of %d bytes are not supported, only 512, 1024, 2048 or 4096", n)
	}
	return nil
}

// readCopies reads both copies and chooses the primary one if it is whole.
func readCopies(src source, size disk.Bytes, mbr []byte) (*State, error) {
	primary, primaryErr := src.copyAt(primaryLBA)
	if primaryErr != nil {
		primary = nil
		if errors.As(primaryErr, new(truncatedError)) {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, primaryErr)
		}
	}
	if primary == nil && classify(mbr) == mbrNone {
		return nil, src.withoutPrimary(primaryErr)
	}
	backup, backupErr := src.findBackup(primary, mbr)
	s := &State{SectorSize: src.sectorSize, size: size, mbr: mbr, primary: primary, backup: backup}
	switch {
	case primary != nil:
		s.base, s.primaryArray = primary, primary.array
	case backup != nil:
		s.base = backup
		s.findPrimaryArray(src)
	case errors.Is(primaryErr, ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, primaryErr)
	default:
		return nil, fmt.Errorf("%w: primary copy at sector %d: %w; backup copy at sector %d: %w",
			ErrDamaged, primaryLBA, primaryErr, src.lastLBA(), backupErr)
	}
	s.stale = src.staleBackup(primary, backup)
	s.warn(primaryErr, backupErr)
	return s, s.describe()
}

// withoutPrimary tells what a disk is that has neither an MBR nor a usable primary
// copy. A whole backup alone is not trusted: the start of the disk was overwritten,
// and by what no one knows; it may be a file system over the whole disk.
func (s source) withoutPrimary(primaryErr error) error {
	_, backupErr := s.copyAt(s.lastLBA())
	for _, err := range []error{primaryErr, backupErr} {
		if errors.As(err, new(*readError)) {
			return err
		}
	}
	switch {
	case errors.Is(primaryErr, errNoSignature) && errors.Is(backupErr, errNoSignature):
		return ErrNone
	case errors.Is(primaryErr, ErrUnsupported) && backupErr != nil:
		return fmt.Errorf("%w: %w", ErrUnsupported, primaryErr)
	}
	if backupErr == nil {
		return fmt.Errorf("%w: there is a backup copy at sector %d, but the start of the disk has been overwritten: no protective MBR, and at sector %d: %w",
			ErrDamaged, s.lastLBA(), primaryLBA, primaryErr)
	}
	return fmt.Errorf("%w: no protective MBR; primary copy at sector %d: %w; backup copy at sector %d: %w",
		ErrDamaged, primaryLBA, primaryErr, s.lastLBA(), backupErr)
}
