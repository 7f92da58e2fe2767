package probe

import (
	"encoding/binary"

	"github.com/sealpart/sealpart/internal/disk"
)

// tableKind returns "gpt" or "dos" where a partition table starts at byte 0, beside
// the content already found. The boot sectors of FAT, exFAT and NTFS end like an
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
	return ""
}

// plausibleMBR tells whether the four entries of 16 bytes are partitions and not
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
