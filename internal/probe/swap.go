package probe

import (
	"encoding/binary"
	"strings"

	"github.com/sealpart/sealpart/internal/disk"
)

// findSwap finds a swap area, and one that holds a hibernated system: that memory
// is somebody's data. The signature ends the first page, whose size is that of the
// machine which wrote it.
func findSwap(m *image) (disk.Content, bool) {
	for _, page := range []int64{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} {
		signature := string(m.at(page-10, 10))
		switch {
		case signature == "":
		case signature == "SWAP-SPACE":
			return disk.Content{Kind: "swap", Version: "0", BlockSize: disk.Bytes(page)}, true
		case signature == "SWAPSPACE2":
			return m.swap("swap", "1", page)
		case signature[:9] == "S1SUSPEND" || signature[:9] == "S2SUSPEND" || signature[:9] == "ULSUSPEND":
			return m.swap("swsuspend", strings.ToLower(signature[:9]), page)
		case signature[:8] == "\xed\xc3\x02\xe9\x98\x56\xe5\x0c":
			return m.swap("swsuspend", "tuxonice", page)
		case signature == "LINHIB0001":
			return m.swap("swsuspend", "linhib0001", page)
		}
	}
	return disk.Content{}, false
}

// swap reads the header (kernel, swap.h: union swap_header), which is in the byte
// order in which its version is 1.
func (m *image) swap(kind, version string, page int64) (disk.Content, bool) {
	header := m.at(1024, 44)
	if header == nil {
		return disk.Content{}, false // it could not be read, which look reports
	}
	c := disk.Content{Kind: kind, Version: version, BlockSize: disk.Bytes(page)}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(header) != 1 {
		order = binary.BigEndian
	}
	if order.Uint32(header) != 1 {
		c.Problem = "swap header has an unknown version"
		return c, true
	}
	c.Size = product(uint64(order.Uint32(header[4:]))+1, uint64(page))
	c.UUID, c.Label = uuidText(header[12:28]), text(header[28:44])
	return c, true
}
