package gpt

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// A claim is a note in the reserved bytes of a GPT header, behind what its checksum covers (UEFI
// 2.10, table 5-5), of free space that is being filled for partitions which no table has yet.
// Without it the next run, after a power cut, could not tell what is there from somebody else's.
// Everybody else passes over these bytes. Whoever forges one gives up what he could have
// overwritten himself.
const (
	claimAt    = 128
	claimMagic = "sealpart claims\x00"
	claimFirst = claimAt + len(claimMagic) // pairs of little-endian numbers: offset and size in bytes
	claimEnd   = 512
	claimPair  = 16
)

// Claims returns the free space that an earlier run has claimed, as it looked the space over
// before it wrote there.
func (s *State) Claims() []disk.Extent {
	raw := s.base.raw
	if string(raw[claimAt:claimFirst]) != claimMagic || le32(raw, 12) > claimAt {
		return nil
	}
	var claims []disk.Extent
	for at := claimFirst; at+claimPair <= claimEnd; at += claimPair {
		offset, size := binary.LittleEndian.Uint64(raw[at:]), binary.LittleEndian.Uint64(raw[at+8:])
		if size > 0 && offset <= uint64(s.size) && size <= uint64(s.size)-offset {
			claims = append(claims, disk.Extent{Offset: disk.Bytes(offset), Size: disk.Bytes(size)})
		}
	}
	return claims
}

// Claim returns the write that adds free space to what is claimed, none where it is already, or
// where the header has no room for it: then what a power cut leaves there is taken for somebody
// else's. It is one sector, and changes nothing that its checksum covers: a power cut leaves
// the table as it is, with the claim or without.
func (s *State) Claim(areas []disk.Extent) []Write {
	raw, claims := bytes.Clone(s.base.raw), s.Claims()
	if le32(raw, 12) > claimAt || claims == nil && !bytes.Equal(raw[claimAt:claimEnd], make([]byte, claimEnd-claimAt)) {
		return nil
	}
	for _, e := range areas {
		if !slices.ContainsFunc(claims, func(c disk.Extent) bool { return c.Contains(e) }) {
			claims = append(claims, e)
		}
	}
	if clear(raw[claimAt:claimEnd]); len(claims) > (claimEnd-claimFirst)/claimPair {
		return nil
	}
	copy(raw[claimAt:], claimMagic)
	for i, e := range claims {
		binary.LittleEndian.PutUint64(raw[claimFirst+i*claimPair:], uint64(e.Offset))
		binary.LittleEndian.PutUint64(raw[claimFirst+i*claimPair+8:], uint64(e.Size))
	}
	if bytes.Equal(raw, s.base.raw) {
		return nil
	}
	return []Write{{Offset: s.base.my.Offset(s.SectorSize), Data: raw, Sync: true, What: "claim of free space"}}
}

// ClaimNew returns the writes of an empty table that claims all of a blank disk of size bytes:
// New made the table. A power cut leaves a blank disk or, from the primary header on, a table
// that is Begun.
func (s *State) ClaimNew(table disk.Table, size disk.Bytes) ([]Write, error) {
	for _, claim := range s.Claim([]disk.Extent{{Size: size}}) {
		s.base.raw = claim.Data
	}
	return s.Writes(table, nil, size)
}

// Begun reports whether a run of ours made the table of what was a blank disk, and was cut off
// before it had filled a partition. There is nothing on such a disk but what that run left.
func (s *State) Begun() bool {
	return len(s.Entries) == 0 && slices.ContainsFunc(s.Claims(), func(e disk.Extent) bool { return e.Offset == 0 })
}

// Release lets the next Writes leave all claims out: what was claimed is in the table, or given up.
func (s *State) Release() { s.released = true }

// withoutClaims clears the claims of a header that is to be written.
func withoutClaims(raw []byte) {
	if string(raw[claimAt:claimFirst]) == claimMagic && le32(raw, 12) <= claimAt {
		clear(raw[claimAt:claimEnd])
	}
}

// Backup returns where a backup copy lies that is not at the disk's end: of a disk that has
// grown. It is no partition's, and goes with the next table.
func (s *State) Backup() []disk.Extent {
	own := func(c *tableCopy) disk.Extent {
		from, to := min(c.my, c.array), max(c.my+1, c.array+arraySectors(c.count, s.SectorSize))
		return disk.Extent{Offset: from.Offset(s.SectorSize), Size: (to - from).Offset(s.SectorSize)}
	}
	last := s.size.LBA(s.SectorSize) - 1
	switch {
	case s.backup != nil && s.backup.my != last:
		return []disk.Extent{own(s.backup)}
	case s.stale != 0:
		array := arraySectors(s.base.count, s.SectorSize)
		return []disk.Extent{{Offset: (s.stale - array).Offset(s.SectorSize), Size: (array + 1).Offset(s.SectorSize)}}
	case s.base.alternate != primaryLBA && s.base.alternate < last && s.base.my == primaryLBA: // of which nothing is whole
		array := arraySectors(s.base.count, s.SectorSize)
		return []disk.Extent{{Offset: (s.base.alternate - array).Offset(s.SectorSize), Size: (array + 1).Offset(s.SectorSize)}}
	}
	return nil
}
