package probe

import (
	"encoding/binary"

	"github.com/sealpart/sealpart/disk"
)

const sector = 512 // what the metadata of old RAID firmware counts in, whatever the disk's is

// biosRAIDs are the arrays of firmware and controllers. Their metadata lies at the end of
// the disk, behind what the array shows to its users: also behind a whole partition table.
var biosRAIDs = []format{
	found(findDDF, mark{-sector, ddfMagic}, mark{-257 * sector, ddfMagic}),
	marked("isw_raid_member", anywhere("Intel Raid ISM Cfg Sig. ", -2*sector, -2*4096)...),
	marked("lsi_mega_raid_member", mark{-sector, "$XIDE$"}),
	checked("via_raid_member", isVIA, mark{-sector, "\x55\xAA"}),
	checked("silicon_medley_raid_member", isSilicon, mark{-sector + 0x60, "\x00\x00\x00\x2F"}),
	marked("nvidia_raid_member", mark{-2 * sector, "NVIDIA  "}),
	marked("promise_fasttrack_raid_member", anywhere("Promise Technology, Inc.", promisePlaces()...)...),
	marked("hpt45x_raid_member", mark{-11 * sector, "\xF3\x16\x78\x5A"}, mark{-11 * sector, "\xFD\x16\x78\x5A"}),
	marked("hpt37x_raid_member", mark{9*sector + 32, "\xF0\x16\x78\x5A"}, mark{9*sector + 32, "\xFD\x16\x78\x5A"}),
	checked("adaptec_raid_member", isAdaptec, mark{-sector, "\x37\xFC\x4D\x1E"}),
	checked("jmicron_raid_member", isJMicron, mark{-sector, "JM"}),
}

// ddfMagic begins every DDF header (SNIA, Common RAID Disk Data Format, section 5.5).
const ddfMagic = "\xDE\x11\xDE\x11"

// findDDF finds a member of a DDF array by its anchor in the last sector, or by the copy
// that some controllers keep where their workspace is at the end.
func findDDF(m *image) (disk.Content, bool) {
	for _, at := range []int64{m.size&^(sector-1) - sector, m.size&^(sector-1) - 257*sector} {
		if header := m.at(at, sector); header != nil && string(header[:4]) == ddfMagic {
			return disk.Content{Kind: "ddf_raid_member", Version: text(header[32:40]), UUID: text(header[8:32]), At: disk.Bytes(at)}, true
		}
	}
	return disk.Content{}, false
}

// promisePlaces returns where controllers by Promise, which go by the cylinders of the
// disk, have put their metadata.
func promisePlaces() (offsets []int64) {
	for _, sectors := range []int64{63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087} {
		offsets = append(offsets, -sectors*sector)
	}
	return offsets
}

// isVIA checks the version, and the sum of the 50 bytes before it.
func isVIA(m *image, at int64) bool {
	b := m.at(at, 51)
	if b == nil || b[2] > 2 {
		return false
	}
	sum := byte(0)
	for _, v := range b[:50] {
		sum += v
	}
	return sum == b[50]
}

// isSilicon checks the number of the disk, and the sum of the words before it.
func isSilicon(m *image, at int64) bool {
	b := m.at(at-0x60, sector)
	if b == nil || b[0x116] >= 8 {
		return false
	}
	return sum16(b[:0x13E])+binary.LittleEndian.Uint16(b[0x13E:]) == 0
}

// isAdaptec asks for the second magic, in the same sector.
func isAdaptec(m *image, at int64) bool { return m.has(at+256, "DPTM") }

// isJMicron checks the mode, and that the words add up to nothing or, from some firmware,
// to one.
func isJMicron(m *image, at int64) bool {
	b := m.at(at, 128)
	return b != nil && b[0x30] <= 5 && sum16(b) <= 1
}

// sum16 adds little-endian words.
func sum16(b []byte) (sum uint16) {
	for ; len(b) >= 2; b = b[2:] {
		sum += binary.LittleEndian.Uint16(b)
	}
	return sum
}
