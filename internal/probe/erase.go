package probe

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
)

// Signatures returns where the size bytes of r bear the marks of anything that is known here,
// one beside the other and also those of copies: what is to be erased so that nothing of
// it is found again. Marks of file systems that begin a device, and lie where every
// partition table has its own sectors, are not among them. It fails only where r cannot
// be read.
func Signatures(r io.ReaderAt, size disk.Bytes) ([]disk.Extent, error) {
	var m image
	m.open(r, size)
	places := m.raidMarks()
	for _, list := range [][]format{containers, fileSystems, otherTables} {
		for _, f := range list {
			places = append(places, m.marksOf(f)...)
		}
	}
	for _, label := range m.zfsLabels() {
		places = append(places, m.zfsMarks(label)...)
	}
	if m.err != nil {
		return nil, fmt.Errorf("looking for old signatures: %w", m.err)
	}
	return places, nil
}

// marksOf returns where the marks of a format lie, of short ones only those that are no
// accident.
func (m *image) marksOf(f format) (places []disk.Extent) {
	for _, k := range f.marks {
		if at := m.place(k); m.has(at, k.text) && (f.check == nil || f.check(m, at)) {
			places = append(places, disk.Extent{Offset: disk.Bytes(at), Size: disk.Bytes(len(k.text))})
		}
	}
	return places
}

// raidMarks returns where the superblocks of Linux RAID have their magic, in either byte
// order.
func (m *image) raidMarks() (places []disk.Extent) {
	for _, at := range []int64{m.size&^0xFFFF - 0x10000, (m.size>>9 - 16) &^ 7 << 9, 0, 4096} {
		magic := m.at(at, 4)
		if magic != nil && (binary.LittleEndian.Uint32(magic) == raidMagic || binary.BigEndian.Uint32(magic) == raidMagic) {
			places = append(places, disk.Extent{Offset: disk.Bytes(at), Size: 4})
		}
	}
	return places
}

// zfsMarks returns where a label of ZFS has the begin of its pairs, and each of its uberblocks
// its magic.
func (m *image) zfsMarks(label int64) (places []disk.Extent) {
	if isXDR(m.at(label+zfsPairs, 4)) {
		places = append(places, disk.Extent{Offset: disk.Bytes(label + zfsPairs), Size: 4})
	}
	ring := m.at(label+zfsRing, zfsRing)
	for at := int64(0); at+1024 <= int64(len(ring)); at += 1024 {
		if n, _ := countUberblocks(ring[at : at+1024]); n > 0 {
			places = append(places, disk.Extent{Offset: disk.Bytes(label + zfsRing + at), Size: 8})
		}
	}
	return places
}
