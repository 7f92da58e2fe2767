package gpt

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// State is a partition table and how it lies on its disk. It does not follow later
// changes of the disk; after Apply, read it again.
type State struct {
	Table      disk.Table
	SectorSize disk.Bytes
	Entries    []disk.Entry // by number
	// Warnings says, for people, what was found damaged or out of place. The
	// next Writes repairs it all, unless the warning says otherwise.
	Warnings []string

	size    disk.Bytes
	mbr     []byte     // the first 512 bytes
	base    *tableCopy // the copy that the table was taken from
	primary *tableCopy // nil where it is not whole
	backup  *tableCopy // nil where it is not whole; it may not be at the disk's end
	fresh   bool       // New made it: nothing of it is on the disk

	released bool // claims of free space are left out when it is written

	primaryArray disk.LBA // where the primary array is, or is to be written
	stale        disk.LBA // of a whole backup header that is not at the disk's end; 0: none known
	damaged      []byte   // sector 1 where it holds a primary header that is not used
	foreign      bool     // something that is no array is where the primary array would go
}

// New returns an empty table for a disk of size bytes: 128 entries, the first
// usable sector at 1 MiB, or right behind the array on disks of up to 4 MiB (as
// sfdisk does), the last one right before the backup array. Nothing is written.
func New(size, sectorSize disk.Bytes, guid uuid.UUID) (*State, error) {
	if sectorSize == 0 {
		sectorSize = sectorSizes[0] // an image file, unless the caller knows better
	}
	if err := checkSectorSize(sectorSize); err != nil {
		return nil, err
	}
	if guid == uuid.Nil {
		return nil, errors.New("a new partition table needs a disk GUID")
	}
	array := arraySectors(usualEntries, sectorSize)
	first, last := usualArrayLBA+array, size.LBA(sectorSize)-array-2
	if size > 4*disk.MiB {
		first = disk.MiB.LBA(sectorSize)
	}
	if first > last {
		return nil, fmt.Errorf("a disk of %d bytes is too small for a GPT", size)
	}
	sector, mbr, err := newModel(size, sectorSize, guid)
	if err != nil {
		return nil, err
	}
	clear(mbr[mbrEntries:]) // protect fills it in
	h := header{
		raw: sector, my: primaryLBA, alternate: size.LBA(sectorSize) - 1, first: first, last: last,
		guid: guid, array: usualArrayLBA, count: usualEntries,
	}
	base := &tableCopy{header: h, entries: make([]byte, array.Offset(sectorSize))}
	s := &State{SectorSize: sectorSize, size: size, mbr: mbr, base: base, fresh: true, primaryArray: usualArrayLBA}
	return s, s.describe()
}

// describe fills in what callers see.
func (s *State) describe() error {
	s.Table = disk.Table{
		Kind: disk.GPT, GUID: s.base.guid, Slots: s.base.count,
		FirstUsable: s.base.first, LastUsable: s.base.last,
	}
	if !s.fresh && s.moved() {
		s.Table.LastUsable = s.lastUsable(s.size)
	}
	for _, p := range s.base.parts {
		e, err := fromModel(p, s.SectorSize)
		if err != nil {
			return fmt.Errorf("%w: partition %d: %w", ErrDamaged, p.Index, err)
		}
		s.Entries = append(s.Entries, e)
	}
	s.warnOutside()
	return nil
}

// backupLBA is where the header that the base copy calls its backup is.
func (s *State) backupLBA() disk.LBA { return max(s.base.my, s.base.alternate) }

// moved reports whether the disk has grown since the table was written.
func (s *State) moved() bool { return s.backupLBA() != s.size.LBA(s.SectorSize)-1 }

// Exposed reports whether the only whole copy of the table is a backup that is not at
// the disk's end, so that whoever uses the space of the disk as Table gives it may
// overwrite that copy. Write the table, as it is, before.
func (s *State) Exposed() bool { return s.primary == nil && s.backup != nil && s.moved() }

// lastUsable is the last sector before the backup array on a disk of size bytes.
func (s *State) lastUsable(size disk.Bytes) disk.LBA {
	return size.LBA(s.SectorSize) - arraySectors(s.base.count, s.SectorSize) - 2
}

// warn notes what is wrong with the two copies and the protective MBR.
func (s *State) warn(primaryErr, backupErr error) {
	last := s.size.LBA(s.SectorSize) - 1
	if s.primary == nil {
		s.note("the primary partition table is damaged (%v); its backup at sector %d is used", primaryErr, s.backup.my)
	}
	switch {
	case s.moved():
		s.note("the disk has grown: the backup partition table belongs at sector %d, not %d", last, s.backupLBA())
	case s.backup == nil:
		s.note("the backup partition table is damaged (%v)", backupErr)
	}
	if s.primary != nil && s.backup != nil && !s.primary.same(s.backup) {
		s.note("the backup partition table differs from the primary one, which is used")
	}
	if s.foreign {
		s.note("what lies at sector %d is no partition array, so the primary partition table is not repaired there", s.primaryArray)
	}
	s.warnMBR()
}

// warnMBR notes a protective MBR that is missing, covers another size, or is not
// only that.
func (s *State) warnMBR() {
	sectors := s.size.LBA(s.SectorSize)
	told := protectedSize(s.mbr)
	switch {
	case classify(s.mbr) == mbrNone:
		s.note("there is no protective MBR")
	case classify(s.mbr) == mbrHybrid:
		s.note("the MBR is a hybrid one: what it says of partitions stays as it is, also where the GPT changes")
	case told != 0 && told-1 != disk.LBA(protectiveSize(sectors)):
		s.note("the protective MBR covers %d sectors, and the disk has %d", told, sectors)
	}
}

// warnOutside notes partitions that the table itself does not allow. They are
// kept as they are.
func (s *State) warnOutside() {
	for _, e := range s.Entries {
		if !usable(s.Table, s.SectorSize).Contains(e.Extent) {
			s.note("partition %d lies outside the usable sectors %d to %d, and is kept there", e.Number, s.Table.FirstUsable, s.Table.LastUsable)
		}
	}
}

// usable returns the bytes that the table gives to partitions.
func usable(t disk.Table, sectorSize disk.Bytes) disk.Extent {
	first := t.FirstUsable.Offset(sectorSize)
	return disk.Extent{Offset: first, Size: (t.LastUsable + 1).Offset(sectorSize) - first}
}

func (s *State) note(format string, values ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, values...))
}
