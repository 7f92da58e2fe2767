package gpt

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
)

// Write is one write of a partition table.
type Write struct {
	Offset disk.Bytes
	Data   []byte
	Sync   bool   // all writes so far must be durable before the next
	What   string // "primary header", …
}

// layout is where the parts of a table go on a disk.
type layout struct {
	size         disk.Bytes
	sectorSize   disk.Bytes
	last         disk.LBA // of the disk: the backup header
	primaryArray disk.LBA
	backupArray  disk.LBA
	arraySectors disk.LBA
}

// layout places the table on a disk of the given size. A backup that already is at
// the end keeps the place of its array.
func (s *State) layout(size disk.Bytes) layout {
	l := layout{
		size: size, sectorSize: s.SectorSize, last: size.LBA(s.SectorSize) - 1,
		primaryArray: s.primaryArray, arraySectors: arraySectors(s.base.count, s.SectorSize),
	}
	l.backupArray = l.last - l.arraySectors
	if b := s.backup; b != nil && b.my == l.last && b.count == s.base.count {
		l.backupArray = b.array
	}
	return l
}

// touchesTable reports whether e shares a byte with sector 0, a header or an array.
func (l layout) touchesTable(e disk.Extent) bool {
	for _, part := range [][2]disk.LBA{{0, 2}, {l.primaryArray, l.arraySectors}, {l.backupArray, l.arraySectors}, {l.last, 1}} {
		if e.Overlaps(disk.Extent{Offset: part[0].Offset(l.sectorSize), Size: part[1].Offset(l.sectorSize)}) {
			return true
		}
	}
	return false
}

// Writes returns what to write, in this order, so that the disk, which now has size
// bytes (it may have grown since Read), carries the given table. It is empty where
// the disk already does, both copies and the protective MBR included. Nothing is
// returned for a table that is not sound: a partition outside the usable sectors, or
// over the table or another partition, a number or UUID used twice, a bad name.
//
// Each copy is written array first, header last, with a sync after both, so a copy
// on the disk is whole or does not check out. What a power cut leaves depends on
// what was there:
//
//   - The primary copy was whole: backup, then primary. While the backup is torn the
//     old primary stands; while the primary is torn the new backup does. The new
//     table holds from the first write to the primary that reaches the disk.
//   - Only the backup at the disk's end was whole: primary, then backup. The old
//     backup stands until the primary header is there.
//   - Only a backup in the middle was whole, of a disk that has grown: backup at the
//     new end, then primary. The old backup stands until the new one's header is there.
//   - New made the table: primary, then backup, then the MBR. The primary header, one
//     sector, makes a blank disk a GPT disk; on a disk with an MBR table it is the new
//     MBR; on one with a GPT the old backup stands until the primary header is there.
//
// The protective MBR comes after both copies; until then it tells the old size. Only
// where it is missing and the primary copy is whole does it come first, for without
// it a backup copy is not trusted. A backup header that a grown disk has left in the middle is zeroed last of all.
func (s *State) Writes(table disk.Table, entries []disk.Entry, size disk.Bytes) ([]Write, error) {
	if size < s.size {
		return nil, fmt.Errorf("the disk had %d bytes when its partition table was read, and now has %d", s.size, size)
	}
	l := s.layout(size)
	if err := s.check(l, table, entries); err != nil {
		return nil, err
	}
	array, err := s.splice(entries)
	if err != nil {
		return nil, err
	}
	writes := s.placeMBR(l, s.copies(l, table, array))
	if at := s.leftover(l); at != 0 && !covered(at.Offset(s.SectorSize), entries) {
		writes = append(writes, Write{Offset: at.Offset(s.SectorSize), Data: make([]byte, s.SectorSize), Sync: true, What: "old backup header"})
	}
	return writes, nil
}

// placeMBR adds the write of the protective MBR, if it changes, to those of the
// copies.
func (s *State) placeMBR(l layout, copies []Write) []Write {
	mbr := protect(s.mbr, l.last+1)
	write := Write{Data: mbr, Sync: true, What: "protective MBR"}
	switch {
	case s.fresh:
		// All of sector 0: a table for smaller sectors had its header in there.
		write.Data = append(write.Data, make([]byte, s.SectorSize-mbrSize)...)
		return append(copies, write)
	case bytes.Equal(mbr, s.mbr):
		return copies
	case classify(s.mbr) == mbrNone:
		return append([]Write{write}, copies...)
	default:
		return append(copies, write)
	}
}

// copies returns the writes of both copies, none where both are as they should be.
func (s *State) copies(l layout, t disk.Table, array []byte) []Write {
	primary := s.build(s.primary, t, array, header{my: primaryLBA, alternate: l.last, array: l.primaryArray})
	backup := s.build(s.backup, t, array, header{my: l.last, alternate: primaryLBA, array: l.backupArray})
	if primary.equal(s.primary) && backup.equal(s.backup) {
		return nil
	}
	if !s.fresh && (s.primary != nil || s.base.my != l.last) {
		return append(backup.writes("backup"), append(s.invalidate(), primary.writes("primary")...)...)
	}
	return append(s.invalidate(), append(primary.writes("primary"), backup.writes("backup")...)...)
}

// build makes one copy of the new table. own is what lies in its place, or nil; the
// bytes that we know nothing about are taken from it.
func (s *State) build(own *tableCopy, t disk.Table, array []byte, h header) *tableCopy {
	if own == nil || own.count != s.base.count {
		own = s.base
	}
	h.raw, h.count, h.guid = own.raw, own.count, t.GUID
	h.first, h.last = t.FirstUsable, t.LastUsable
	h.arrayCRC = crc32.ChecksumIEEE(array)
	if h.raw = h.build(); s.released {
		withoutClaims(h.raw)
	}
	return &tableCopy{header: h, entries: append(bytes.Clone(array), own.entries[len(array):]...)}
}

// equal reports whether c is, byte for byte and in its place, what is on the disk.
func (c *tableCopy) equal(onDisk *tableCopy) bool {
	return onDisk != nil && bytes.Equal(c.raw, onDisk.raw) && bytes.Equal(c.entries, onDisk.entries)
}

// writes returns the writes of one copy. The sync between them keeps a new header
// from standing over an array that is still the old one, or torn.
func (c *tableCopy) writes(which string) []Write {
	sectorSize := disk.Bytes(len(c.raw))
	return []Write{
		{Offset: c.array.Offset(sectorSize), Data: c.entries, Sync: true, What: which + " array"},
		{Offset: c.my.Offset(sectorSize), Data: c.raw, Sync: true, What: which + " header"},
	}
}

// invalidate breaks the checksum of a primary header that is whole while its array
// is not. Otherwise a torn write of the new array could by chance complete the one
// that the header was made for, and bring back a table that is neither the old nor
// the new one. A power cut leaves a primary copy that is not used, as before; its
// places stay readable, for a backup may be found only through them.
func (s *State) invalidate() []Write {
	if s.damaged == nil || checkHeaderCRC(s.damaged) != nil {
		return nil
	}
	sector := bytes.Clone(s.damaged)
	for i := 16; i < 20; i++ {
		sector[i] ^= 0xff
	}
	return []Write{{Offset: disk.LBA(primaryLBA).Offset(s.SectorSize), Data: sector, Sync: true, What: "mark of the damaged primary header"}}
}

// splice returns the array: bytes that were there for every slot whose meaning stays
// the same, including what lies in unused ones, and new bytes for the others.
func (s *State) splice(entries []disk.Entry) ([]byte, error) {
	array, err := encode(s.base.header, s.base.entries, entries)
	if err != nil {
		return nil, err
	}
	before := make([]disk.Entry, s.base.count+1)
	after := make([]disk.Entry, s.base.count+1)
	for _, e := range s.Entries {
		before[e.Number] = e
	}
	for _, e := range entries {
		after[e.Number] = e
	}
	for i := range s.base.count {
		old, slot := s.base.entries[i*entrySize:(i+1)*entrySize], array[i*entrySize:(i+1)*entrySize]
		switch was, is := before[i+1], after[i+1]; {
		case was == is:
			copy(slot, old)
		case was.Number == is.Number && was.Name == is.Name:
			copy(slot[nameOffset:], old[nameOffset:]) // with what stands behind the name's end
		}
	}
	return array, nil
}

// nameOffset is where the name starts in an entry (UEFI 2.10, table 5-6).
const nameOffset = 56

// leftover returns the sector of a backup header that is not at the end of a disk
// laid out as l, 0 if there is none.
func (s *State) leftover(l layout) disk.LBA {
	if s.backup != nil && s.backup.my != l.last {
		return s.backup.my
	}
	return s.stale
}

// covered reports whether a partition holds the byte at: then what lies there is that
// partition's, which may have been filled since the table was read.
func covered(at disk.Bytes, entries []disk.Entry) bool {
	for _, e := range entries {
		if e.Overlaps(disk.Extent{Offset: at, Size: 1}) {
			return true
		}
	}
	return false
}

// Apply does writes, in order, and stops at the first that fails; what is on the
// disk then is as after a power cut at that point.
func (s *State) Apply(dev blockdev.Device, writes []Write) error {
	if n := dev.SectorSize(); n != 0 && n != s.SectorSize {
		return fmt.Errorf("%s has sectors of %d bytes, and the partition table is for %d", dev.Name(), n, s.SectorSize)
	}
	for _, w := range writes {
		if _, err := dev.WriteAt(w.Data, int64(w.Offset)); err != nil {
			return fmt.Errorf("write %s at %d: %w", w.What, w.Offset, err)
		}
		if !w.Sync {
			continue
		}
		if err := dev.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", w.What, err)
		}
	}
	return nil
}
