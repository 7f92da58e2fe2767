package probe

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// containers end the search: what lies inside them, or beside them in space that
// they do not use, is not a second content. RAID comes first, as its members show
// what is inside of the array.
var containers = slices.Concat(
	[]format{found(findRAID)},
	biosRAIDs,
	[]format{
		marked("bcache", mark{4096 + 24, bcacheMagic}),
		marked("ceph_bluestore", mark{0, "bluestore block device"}),
		checked("drbd", isDRBD, drbdMarks()...),
		marked("drbdmanage_control_volume", mark{0, "$DRBDmgr=q"}),
		marked("drbdproxy_datalog", mark{0, "DRBDdlh*"}),
		found(findLVM2),
		marked("LVM1_member", mark{0, "HM\x01\x00"}, mark{0, "HM\x02\x00"}),
		marked("DM_snapshot_cow", mark{0, "SnAp"}),
		found(findVerity), found(findIntegrity),
		found(findLUKS, anywhere(luksMagic2, secondHeaders()...)...),
		marked("VMFS_volume_member", mark{1 << 20, "\x0D\xD0\x01\xC0"}),
		marked("ubi", mark{0, "UBI#"}),
		marked("vdo", mark{0, "dmvdo001"}),
		marked("stratis", anywhere("!Stra0tis\x86\xFF\x02^\x41rh", sector+4, 9*sector+4)...),
		marked("BitLocker", bitLockerMarks()...),
		checked("cs_fvault2", isCoreStorage, mark{88, "CS"}),
		marked("ldm", anywhere("PRIVHEAD", 6*sector, -sector, -1<<20)...),
		marked("geom", anywhere("GEOM::", -sector, -4096)...),
	},
)

// bcacheMagic is the identifier of bcache, which early bcachefs has, too.
const bcacheMagic = "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81"

// drbdMarks are those of all versions, clean or not (kernel, drbd_int.h).
func drbdMarks() (marks []mark) {
	const magicAt = 60
	for _, text := range []string{"\x83\x74\x02\x6B", "\x83\x74\x02\x6C", "\x83\x74\x02\x6D"} {
		marks = append(marks, mark{-4096 + magicAt, text})
	}
	return marks
}

// isDRBD checks how many bytes a bit of the bitmap stands for: whole blocks.
func isDRBD(m *image, at int64) bool {
	b := m.at(at, 24)
	return b != nil && binary.BigEndian.Uint32(b[20:]) >= 4096 && binary.BigEndian.Uint32(b[20:])%4096 == 0
}

// secondHeaders returns where the second copy of a LUKS2 header may be (LUKS2 On-Disk
// Format Specification, section 2.1).
func secondHeaders() (offsets []int64) {
	for at := int64(16 << 10); at <= 4<<20; at *= 2 {
		offsets = append(offsets, at)
	}
	return offsets
}

// bitLockerMarks: a volume of BitLocker says so where a boot sector names its file system.
// One of BitLocker To Go is a FAT to whoever does not know better, with a reader for its
// data as a file: only the identifier tells, which those of fixed disks have elsewhere.
func bitLockerMarks() []mark {
	const all, usedOnly = "\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01", "\x3B\x4D\xA8\x92\x80\xDD\x0E\x4D\x9E\x4E\xB1\xE3\x28\x4E\xAE\xD8"
	const fixed, toGo = 160, 424
	return append([]mark{{3, "-FVE-FS-"}}, append(anywhere(all, fixed, toGo), anywhere(usedOnly, fixed, toGo)...)...)
}

// isCoreStorage checks the header of a physical volume of Apple's Core Storage, which holds
// FileVault 2: its version, and the CRC-32C, not inverted, behind its own seed.
func isCoreStorage(m *image, at int64) bool {
	b := m.at(at-88, sector)
	if b == nil || binary.LittleEndian.Uint16(b[8:]) != 1 {
		return false
	}
	sum, seed := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	return ^crc32.Update(^seed, castagnoli, b[8:]) == sum
}
