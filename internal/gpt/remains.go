package gpt

import (
	"bytes"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// Remains returns the space, from the sector at on, that holds what is left of a backup copy of
// this table: other programs move the copy to the end of a disk that has grown, and do not
// clear its old place. Each sector there is blank, or has entries of this table's partitions
// alone, or the header of this disk. The space is empty where anything else lies in it.
func (s *State) Remains(r io.ReaderAt, at disk.LBA) (disk.Extent, error) {
	sectors := s.size.LBA(s.SectorSize)
	n := min(arraySectors(s.base.count, s.SectorSize)+1, sectors-at)
	b, err := source{r: r, sectorSize: s.SectorSize, sectors: sectors}.read(at, n)
	if err != nil {
		return disk.Extent{}, err
	}
	for sector := range slices.Chunk(b, int(s.SectorSize)) {
		if !s.ownHeader(sector) && !s.ownEntries(sector) {
			return disk.Extent{}, nil
		}
	}
	return disk.Extent{Offset: at.Offset(s.SectorSize), Size: n.Offset(s.SectorSize)}, nil
}

// ownHeader reports whether a sector has a header of this disk.
func (s *State) ownHeader(sector []byte) bool {
	h, err := parseHeader(sector)
	return err == nil && h.guid == s.base.guid
}

// ownEntries reports whether the entries of a sector are unused, or of partitions of this table.
func (s *State) ownEntries(sector []byte) bool {
	for entry := range slices.Chunk(sector, entrySize) {
		id, unused := guidAt(entry, 16), bytes.Equal(entry, make([]byte, entrySize))
		if !unused && !slices.ContainsFunc(s.Entries, func(e disk.Entry) bool { return e.UUID == id }) {
			return false
		}
	}
	return true
}
