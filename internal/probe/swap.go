package probe

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// pageSizes are those of the machines that Linux runs on.
var pageSizes = []int64{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// findSwap finds a swap area, and one that holds a hibernated system: that memory
// is somebody's data. The signature ends the first page, whose size is that of the
// machine which wrote it. TuxOnIce leaves it there, and writes its own to the front.
func findSwap(m *image) (disk.Content, bool) {
	if m.has(0, tuxOnIce) {
		return m.swap(disk.Hibernated, "tuxonice", pageSizes[0])
	}
	for _, page := range pageSizes {
		signature := string(m.at(page-10, 10))
		switch writer := suspension(signature); {
		case signature == "SWAP-SPACE":
			return disk.Content{Kind: "swap", Version: "0", BlockSize: disk.Bytes(page)}, true
		case signature == "SWAPSPACE2":
			return m.swap("swap", "1", page)
		case writer != "":
			return m.swap(disk.Hibernated, writer, page)
		}
	}
	return disk.Content{}, false
}

// tuxOnIce begins the header page of a swap that TuxOnIce hibernated into.
const tuxOnIce = "\xed\xc3\x02\xe9\x98\x56\xe5\x0c"

// suspension returns who hibernated a system into the swap whose header page ends so, in
// blkid's words; "" where none is in it.
func suspension(signature string) string {
	for begin, writer := range map[string]string{
		"S1SUSPEND": "s1suspend", "S2SUSPEND": "s2suspend", "ULSUSPEND": "ulsuspend", "LINHIB0001": "linhib0001",
	} {
		if strings.HasPrefix(signature, begin) {
			return writer
		}
	}
	return ""
}

// Suspended returns who hibernated a system into the swap file whose header page begins
// at byte off of r, in blkid's words; "" where none is in it. size is that of the
// machine's pages in bytes. It fails where r cannot be read.
func Suspended(r io.ReaderAt, off, size int64) (string, error) {
	page := make([]byte, size)
	if n, err := r.ReadAt(page, off); n < len(page) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return "", err
	}
	if strings.HasPrefix(string(page), tuxOnIce) {
		return "tuxonice", nil
	}
	return suspension(string(page[size-10:])), nil
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
		c.Remedy = "nothing is damaged, as far as can be told; \"mkswap\" makes it anew, unless a hibernated machine is in it"
		return c, true
	}
	c.Size = product(uint64(order.Uint32(header[4:]))+1, uint64(page))
	c.UUID, c.Label = uuidText(header[12:28]), text(header[28:44])
	return c, true
}
