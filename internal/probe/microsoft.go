package probe

import (
	"encoding/binary"
	"fmt"

	"github.com/sealpart/sealpart/disk"
)

// findExFAT finds exFAT (Microsoft, exFAT file system specification, section 3.1).
func findExFAT(m *image) (disk.Content, bool) {
	boot := m.at(0, 512)
	if boot == nil || string(boot[3:11]) != "EXFAT   " || boot[108] < 9 || boot[108] > 12 || boot[109] > 25-boot[108] {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	sector := uint64(1) << boot[108]
	cluster := int64(sector) << boot[109]
	root := int64(le.Uint32(boot[88:]))*int64(sector) + (int64(le.Uint32(boot[96:]))-2)*cluster
	const volumeDirty = 0x2
	return disk.Content{
		Kind: "exfat", Version: fmt.Sprintf("%d.%d", boot[105], boot[104]),
		UUID: shortSerial(boot[100:104]), Label: exFATLabel(m.at(root, min(cluster, maxRead))),
		Size: product(le.Uint64(boot[72:]), sector), BlockSize: disk.Bytes(sector),
		Unclean: le.Uint16(boot[106:])&volumeDirty != 0,
	}, true
}

// exFATLabel looks for the volume label entry in the first cluster of the root
// directory; formatters write it first.
func exFATLabel(entries []byte) string {
	for e := entries; len(e) >= 32 && e[0] != 0; e = e[32:] {
		if e[0] == 0x83 {
			return text16(e[2:2+2*min(int(e[1]), 11)], binary.LittleEndian)
		}
	}
	return ""
}

// findNTFS finds NTFS. Its label and its dirty flag are attributes of the file
// $Volume, record 3 of the master file table.
func findNTFS(m *image) (disk.Content, bool) {
	boot := m.at(0, 512)
	if boot == nil || string(boot[3:11]) != "NTFS    " {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	sector := int64(le.Uint16(boot[11:]))
	if sector < 256 || sector > 4096 || sector&(sector-1) != 0 {
		return disk.Content{}, false
	}
	cluster := ntfsSize(boot[13], sector, sector)
	record := ntfsSize(boot[64], cluster, 1)
	c := disk.Content{
		Kind: "ntfs", UUID: fmt.Sprintf("%016X", le.Uint64(boot[72:])),
		Size: product(le.Uint64(boot[40:]), uint64(sector)), BlockSize: disk.Bytes(sector),
	}
	if table := le.Uint64(boot[48:]); cluster > 0 && record > 0 && table <= uint64(m.size)/uint64(cluster) {
		c.Label, c.Unclean = ntfsVolume(m.at(int64(table)*cluster+3*record, record))
	}
	return c, true
}

// ntfsSize decodes a size: up to 128 a count of units, above that the negative of a
// power of two of small units. It is 0 where that is more than 2 MiB, NTFS's limit.
func ntfsSize(n byte, unit, small int64) int64 {
	size := int64(n) * unit
	if n > 128 {
		size = small << min(256-int64(n), 31)
	}
	if size > 2<<20 {
		return 0
	}
	return size
}

// ntfsVolume reads the attributes $VOLUME_NAME and $VOLUME_INFORMATION of a record.
func ntfsVolume(record []byte) (label string, dirty bool) {
	if len(record) < 24 || string(record[:4]) != "FILE" {
		return "", false
	}
	le := binary.LittleEndian
	for at := int64(le.Uint16(record[20:])); at+24 <= int64(len(record)); {
		a := record[at:]
		length, first := int64(le.Uint32(a[4:])), int64(le.Uint16(a[20:]))
		if length < 24 || length > int64(len(a)) {
			break
		}
		last := first + int64(le.Uint32(a[16:]))
		switch kind := le.Uint32(a); {
		case a[8] != 0 || last > length: // not resident: neither of the two
		case kind == 0x60:
			label = text16(a[first:last], le)
		case kind == 0x70 && last-first >= 12:
			dirty = le.Uint16(a[first+10:])&1 != 0
		}
		at += length
	}
	return label, dirty
}
