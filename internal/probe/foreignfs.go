package probe

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// isXFSLog checks a record of the log (kernel, xfs_log_format.h: xlog_rec_header): its version
// and its length. A log that lies inside of a file system is that file system's.
func isXFSLog(m *image, at int64) bool {
	b := m.at(at, 20)
	if b == nil || m.has(0, "XFSB") {
		return false
	}
	version, length := binary.BigEndian.Uint32(b[8:]), int32(binary.BigEndian.Uint32(b[12:]))
	return (version == 1 || version == 2) && length > 0
}

// isHFSPlus checks the version and the block size of a volume header (Apple, TN1150). A
// volume that is wrapped into an HFS one has no header here.
func isHFSPlus(m *image, at int64) bool {
	if at == 1024+124 {
		return m.has(1024, "BD")
	}
	b := m.at(at, 44)
	if b == nil {
		return false
	}
	version, block := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[40:])
	return (version == 4 || version == 5) && block >= 512 && bits.OnesCount32(block) == 1
}

// isHFS checks the allocation block size of a master directory block (Apple, Inside
// Macintosh: Files), and that it is no wrapper of another.
func isHFS(m *image, at int64) bool {
	b := m.at(at, 126)
	if b == nil || string(b[124:]) == "H+" || string(b[124:]) == "HX" {
		return false
	}
	block := binary.BigEndian.Uint32(b[20:])
	return block > 0 && block%512 == 0
}

// isMinix checks the numbers of a superblock against each other (kernel, minix_fs.h). The
// superblock of an ext or an EROFS can begin with the same bytes.
func isMinix(m *image, at int64) bool {
	b := m.at(1024, 36)
	if b == nil || m.has(1024+56, "\x53\xEF") || m.has(1024, "\xE2\xE1\xF5\xE0") {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if first := b[at-1024]; first == 0x13 || first == 0x24 || first == 0x4D {
		order = binary.BigEndian
	}
	word := func(at int) uint64 { return uint64(order.Uint16(b[at:])) }
	s := minix{word(0), word(2), word(4), word(6), word(8), word(10)}
	switch magic := string(b[at-1024:][:2]); {
	case at == 1024+24: // version 3
		s = minix{uint64(order.Uint32(b)), uint64(order.Uint32(b[20:])), word(6), word(8), word(10), word(12)}
	case strings.ContainsRune(magic, 0x24): // version 2
		s.zones = uint64(order.Uint32(b[20:]))
	}
	return s.sound()
}

// minix is what a superblock counts.
type minix struct {
	inodes, zones, inodeMap, zoneMap, first uint64
	zoneSize                                uint64 // as a power of two over the block size
}

// sound reports whether the bitmaps are large enough for what they count.
func (s minix) sound() bool {
	const bitsOfBlock = 1024 * 8
	return s.zoneSize == 0 && s.inodes > 0 && s.inodeMap*bitsOfBlock > s.inodes &&
		s.first <= s.zones && s.zoneMap*bitsOfBlock > s.zones-s.first
}

// isGFS1 and isGFS2 tell the two apart by the format of the file system.
func isGFS1(m *image, at int64) bool { return gfsFormat(m, at) == 1309 }
func isGFS2(m *image, at int64) bool { return gfsFormat(m, at) != 1309 }

func gfsFormat(m *image, at int64) uint32 {
	b := m.at(at, 28)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b[24:])
}

// isNILFS checks the checksum of a superblock, which has its seed before it (kernel,
// nilfs2_ondisk.h).
func isNILFS(m *image, at int64) bool {
	const sumAt = 16
	b := m.at(at-6, 1024)
	if b == nil {
		return false
	}
	le := binary.LittleEndian
	size, seed := int(le.Uint16(b[8:])), le.Uint32(b[12:])
	if size < sumAt+4 || size > len(b) {
		return false
	}
	crc := crc32.Update(^seed, crc32.IEEETable, b[:sumAt])
	crc = crc32.Update(crc, crc32.IEEETable, make([]byte, 4))
	return ^crc32.Update(crc, crc32.IEEETable, b[sumAt+4:size]) == le.Uint32(b[sumAt:])
}

// findUDF finds UDF, and what else follows ECMA-167, by its volume recognition sequence
// (part 2, section 8): descriptors of 2048 bytes, or of a block where that is larger,
// from 32 KiB on.
func findUDF(m *image) (disk.Content, bool) {
	for _, k := range udfMarks() {
		if m.has(k.offset, k.text) {
			return disk.Content{Kind: "udf"}, true
		}
	}
	return disk.Content{}, false
}

func udfMarks() (marks []mark) {
	for n := range int64(12) {
		for _, text := range []string{"NSR02", "NSR03"} {
			marks = append(marks, mark{32<<10 + n*2048 + 1, text})
		}
	}
	return marks
}
