package probe

import (
	"encoding/binary"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// tableKind returns blkid's name of the partition table that starts at byte 0, "" where
// there is none, beside the content already found. The boot sectors of FAT, exFAT and NTFS end like an
// MBR and hold code where its entries are, so beside these no MBR is looked for.
func (m *image) tableKind(found []disk.Content) string {
	if m.has(512, "EFI PART") || m.has(4096, "EFI PART") {
		return "gpt"
	}
	for _, c := range found {
		if c.Kind == "vfat" || c.Kind == "exfat" || c.Kind == "ntfs" {
			return ""
		}
	}
	if m.has(510, "\x55\xAA") && plausibleMBR(m.head[446:510]) {
		return "dos"
	}
	for _, f := range otherTables {
		if c, ok := f.find(m); ok {
			return c.Kind
		}
	}
	return ""
}

// otherTables are the partition tables of other machines.
var otherTables = []format{
	marked("aix", mark{0, "\xC9\xC2\xD4\xC1"}),
	marked("sgi", mark{0, "\x0B\xE5\xA9\x41"}),
	checked("sun", isSun, mark{508, "\xDA\xBE"}),
	checked("mac", isMac, mark{0, "ER"}),
	marked("mac", anywhere("PM\x00\x00", 512, 2048, 4096)...),
	marked("bsd", anywhere("\x57\x45\x56\x82", 64, 128, 512)...),
	marked("unixware", mark{29*512 + 4, "\x0D\x60\xE5\xCA"}),
	marked("solaris", mark{512 + 12, "\xEE\xDE\x0D\x60"}),
	marked("ultrix", anywhere("\x57\x29\x03\x00\x01\x00\x00\x00", 16<<10-72)...),
	marked("dasd", slices.Concat(dasd("\xE5\xD6\xD3\xF1"), dasd("\xD3\xD5\xE7\xF1"), dasd("\xC3\xD4\xE2\xF1"))...),
}

// dasd is a volume label, in EBCDIC, in block 1 or 2 of blocks of every size.
func dasd(text string) []mark { return anywhere(text, 512, 1024, 2048, 4096, 8192) }

// isSun checks that the words of the sector cancel each other out.
func isSun(m *image, _ int64) bool {
	sum := uint16(0)
	for b := m.at(0, 512); len(b) >= 2; b = b[2:] {
		sum ^= binary.BigEndian.Uint16(b)
	}
	return sum == 0
}

// isMac checks the block size of an Apple driver descriptor.
func isMac(m *image, _ int64) bool {
	b := m.at(2, 2)
	size := binary.BigEndian.Uint16(b)
	return size >= 512 && size <= 4096 && size&(size-1) == 0
}

// plausibleMBR reports whether the four entries of 16 bytes are partitions and not
// boot code: each flag is 0 or 0x80, and at least one entry has a type, a start
// and a length.
func plausibleMBR(entries []byte) bool {
	some := false
	for e := entries; len(e) >= 16; e = e[16:] {
		if e[0]&0x7F != 0 {
			return false
		}
		start, length := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		some = some || e[4] != 0 && start != 0 && length != 0
	}
	return some
}
