package probe

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/sealpart/sealpart/disk"
)

// Of a label: its size, where its pairs begin, and where its ring does, which takes as much
// again, in bytes.
const (
	zfsLabel = 256 << 10
	zfsPairs = 16 << 10
	zfsRing  = 128 << 10
)

// zfsLabels returns where the labels of a member are.
func (m *image) zfsLabels() []int64 {
	end := m.size &^ (zfsLabel - 1)
	return []int64{0, zfsLabel, end - 2*zfsLabel, end - zfsLabel}
}

// findZFS finds a member of a ZFS pool (ZFS On-Disk Specification, sections 1.2 and
// 1.3): four labels of 256 KiB, two at either end, each with name-value pairs and a
// ring of uberblocks. Four uberblocks are asked for, as one may be left over.
func findZFS(m *image) (disk.Content, bool) {
	labels := m.zfsLabels()
	// The rings are 512 KiB, too much to read from everything that is no member.
	// ZFS itself knows a member by the pairs; one that has none anywhere is lost.
	if !slices.ContainsFunc(labels, func(at int64) bool { return isXDR(m.at(at+zfsPairs, 4)) }) {
		return disk.Content{}, false
	}
	uberblocks, c := 0, disk.Content{Kind: "zfs_member"}
	for _, at := range labels {
		blocks := m.at(at+zfsRing, zfsRing)
		if n, version := countUberblocks(blocks); n > 0 {
			if uberblocks == 0 {
				c.At = disk.Bytes(at)
			}
			uberblocks, c.Version = uberblocks+n, strconv.FormatUint(version, 10)
			if c.UUID == "" {
				c.Label, c.UUID = zfsNames(m.at(at+zfsPairs, zfsRing-zfsPairs))
			}
		}
	}
	return c, uberblocks >= 4
}

// isXDR reports whether a list of name-value pairs begins as every label's does: in
// XDR, written by a machine of either byte order, two bytes reserved.
func isXDR(header []byte) bool {
	return len(header) == 4 && header[0] == 1 && header[1] <= 1 && header[2] == 0 && header[3] == 0
}

// countUberblocks counts the uberblocks in a ring and returns the version of one.
func countUberblocks(ring []byte) (n int, version uint64) {
	const magic = 0x00BAB10C
	for b := ring; len(b) >= 1024; b = b[1024:] {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if order.Uint64(b) == magic {
				n, version = n+1, order.Uint64(b[8:])
			}
		}
	}
	return n, version
}

// zfsNames finds the pool's name and identifier among the name-value pairs of a
// label, which are in XDR (RFC 4506): sizes, name, type, count, value.
func zfsNames(pairs []byte) (name, guid string) {
	const header, typeUint64, typeString = 12, 8, 9
	be := binary.BigEndian
	for at := int64(header); at+12 <= int64(len(pairs)); {
		p := pairs[at:]
		size, nameSize := int64(be.Uint32(p)), int64(be.Uint32(p[8:]))
		value := 12 + (nameSize+3)&^3
		if size > int64(len(p)) || value+16 > size {
			break
		}
		kind, data := be.Uint32(p[value:]), p[value+8:size]
		switch key := string(p[12 : 12+nameSize]); {
		case key == "name" && kind == typeString && int64(be.Uint32(data))+4 <= int64(len(data)):
			name = text(data[4 : 4+be.Uint32(data)])
		case key == "pool_guid" && kind == typeUint64:
			guid = strconv.FormatUint(be.Uint64(data), 10)
		}
		at += size
	}
	return name, guid
}
