package probe

import (
	"encoding/binary"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// findISO9660 finds a CD image (ECMA-119, section 8): its volume descriptors, one
// each 2048 bytes, begin at 32 KiB. One that is a UDF as well is called that.
func findISO9660(m *image) (disk.Content, bool) {
	if _, bridge := findUDF(m); bridge {
		return disk.Content{}, false
	}
	c, found := disk.Content{Kind: "iso9660"}, false
	for n := range int64(16) {
		d := m.at(32<<10+n*2048, 2048)
		if d == nil || string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		switch d[0] {
		case 1: // primary
			found = true
			block := binary.LittleEndian.Uint16(d[128:])
			c.Size, c.BlockSize = product(uint64(binary.LittleEndian.Uint32(d[80:])), uint64(block)), disk.Bytes(block)
			c.UUID = isoUUID(d)
			if c.Version == "" {
				c.Label = text(d[40:72])
			}
		case 2: // supplementary, with longer names
			if isJoliet(d[88:91]) {
				c.Version, c.Label = "Joliet Extension", text16(d[40:72], binary.BigEndian)
			}
		}
	}
	return c, found
}

// isJoliet reports whether the escape sequence announces UCS-2.
func isJoliet(escape []byte) bool {
	s := string(escape)
	return s == "%/@" || s == "%/C" || s == "%/E"
}

// isoUUID makes an identifier of the time of the last change, else of creation.
func isoUUID(d []byte) string {
	for _, at := range []int{830, 813} {
		digits, zone := string(d[at:at+16]), d[at+16]
		if zone == 0 && strings.Trim(digits, "0") == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		return strings.Join([]string{digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:12], digits[12:14], digits[14:16]}, "-")
	}
	return ""
}
