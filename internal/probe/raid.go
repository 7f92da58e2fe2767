package probe

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/sealpart/sealpart/disk"
)

// findRAID finds a member of a Linux software RAID: a version 1 superblock (kernel,
// md_p.h: mdp_superblock_1) at one of its three places, or one of version 0.90.
func findRAID(m *image) (disk.Content, bool) {
	for _, place := range []struct {
		version string
		offset  int64
	}{{"1.0", (m.size>>9 - 16) &^ 7 << 9}, {"1.1", 0}, {"1.2", 4096}} {
		sb := m.at(place.offset, 256)
		if sb == nil || binary.LittleEndian.Uint32(sb) != raidMagic || binary.LittleEndian.Uint32(sb[4:]) != 1 {
			continue
		}
		if binary.LittleEndian.Uint64(sb[144:]) != uint64(place.offset>>9) { // super_offset: a copy of it elsewhere
			continue
		}
		return disk.Content{Kind: "linux_raid_member", Version: place.version, UUID: uuidText(sb[16:32]), Label: text(sb[32:64]), At: disk.Bytes(place.offset)}, true
	}
	return m.raid090()
}

const raidMagic = 0xA92B4EFC

// raid090 finds a superblock of version 0.90, in the last whole 64 KiB of the
// device but one and in the byte order of the machine that wrote it.
func (m *image) raid090() (disk.Content, bool) {
	at := m.size&^0xFFFF - 0x10000
	sb := m.at(at, 64)
	if sb == nil {
		return disk.Content{}, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(sb) != raidMagic {
		order = binary.BigEndian
	}
	if order.Uint32(sb) != raidMagic || order.Uint32(sb[4:]) != 0 {
		return disk.Content{}, false
	}
	var id []byte
	for _, word := range []int{20, 52, 56, 60} { // set_uuid0 to set_uuid3
		id = binary.BigEndian.AppendUint32(id, order.Uint32(sb[word:]))
	}
	version := fmt.Sprintf("%d.%d.%d", order.Uint32(sb[4:]), order.Uint32(sb[8:]), order.Uint32(sb[12:]))
	return disk.Content{Kind: "linux_raid_member", Version: version, UUID: uuidText(id), At: disk.Bytes(at)}, true
}

// findLVM2 finds the label of an LVM2 physical volume in one of the first four
// sectors.
func findLVM2(m *image) (disk.Content, bool) {
	for sector := range int64(4) {
		label := m.at(sector*512, 512)
		if label == nil || string(label[:8]) != "LABELONE" || string(label[24:32]) != "LVM2 001" {
			continue
		}
		crc := ^crc32.Update(^uint32(0xF597A6CF), crc32.IEEETable, label[20:])
		if binary.LittleEndian.Uint64(label[8:]) != uint64(sector) || binary.LittleEndian.Uint32(label[16:]) != crc {
			continue
		}
		return disk.Content{Kind: "LVM2_member", Version: "LVM2 001", UUID: lvmUUID(text(label[32:64]))}, true
	}
	return disk.Content{}, false
}

// lvmUUID sets the dashes into the 32 characters of an LVM identifier.
func lvmUUID(id string) string {
	if len(id) != 32 {
		return ""
	}
	return id[:6] + "-" + id[6:10] + "-" + id[10:14] + "-" + id[14:18] + "-" + id[18:22] + "-" + id[22:26] + "-" + id[26:]
}
