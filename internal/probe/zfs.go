package probe

import (
	"encoding/binary"
	"strconv"

	"github.com/sealpart/sealpart/internal/disk"
)

// findZFS finds a member of a ZFS pool (ZFS On-Disk Specification, sections 1.2 and
// 1.3): four labels of 256 KiB, two at either end, each with a ring of uberblocks.
// Four uberblocks are asked for, as one may be left over.
func findZFS(m *image) (disk.Content, bool) {
	const label, ring = 256 << 10, 128 << 10
	end := m.size &^ (label - 1)
	uberblocks, c := 0, disk.Content{Kind: "zfs_member"}
	for _, at := range []int64{0, label, end - 2*label, end - label} {
		blocks := m.at(at+ring, ring)
		if n, version := countUberblocks(blocks); n > 0 {
			uberblocks, c.Version = uberblocks+n, strconv.FormatUint(version, 10)
			if c.UUID == "" {
				c.Label, c.UUID = zfsNames(m.at(at+16<<10, 112<<10))
			}
		}
	}
	return c, uberblocks >= 4
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
