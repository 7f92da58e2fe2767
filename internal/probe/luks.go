package probe

import (
	"encoding/binary"

	"github.com/sealpart/sealpart/internal/disk"
)

// findLUKS finds a LUKS1 header, or a LUKS2 header by either of its two copies
// (LUKS2 On-Disk Format Specification, section 2.1).
func findLUKS(m *image) (disk.Content, bool) {
	if m.has(0, "LUKS\xba\xbe") {
		return m.luks(0)
	}
	for at := int64(16 << 10); at <= 4<<20; at *= 2 { // where cryptsetup looks for the second
		if m.has(at, "SKUL\xba\xbe") {
			if copy := m.at(at, 512); copy != nil && binary.BigEndian.Uint64(copy[256:]) == uint64(at) {
				return m.luks(at)
			}
		}
	}
	return disk.Content{}, false
}

// luks reads the binary header at off.
func (m *image) luks(off int64) (disk.Content, bool) {
	header := m.at(off, 512)
	c := disk.Content{Kind: "crypto_LUKS"}
	if header == nil {
		c.Problem = "the LUKS header is cut off"
		return c, true
	}
	switch binary.BigEndian.Uint16(header[6:]) {
	case 1:
		c.Version, c.UUID = "1", text(header[168:208])
	case 2:
		c.Version, c.UUID, c.Label = "2", text(header[168:208]), text(header[24:72])
	default:
		c.Problem = "LUKS header of an unknown version"
	}
	return c, true
}
