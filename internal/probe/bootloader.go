package probe

import (
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
)

// loaderMark is by what a boot loader is known that lies before the first partition.
type loaderMark struct {
	at    disk.Bytes // of the mark, on the disk
	text  string
	start disk.Bytes // of the boot loader
	name  string
}

// loaders lists where the first code in chips looks for boot loaders, by what these begin with
// there (the chips' reference manuals, and U-Boot's doc/board and tools).
var loaders = []loaderMark{
	{64 * 512, "RKNS", 64 * 512, "a boot loader (Rockchip)"},
	{64 * 512, "\x3b\x8c\xdc\xfc\xbe\x9f\x9d\x51\xeb\x30\x34\xce\x24\x51\x1f\x98", 64 * 512, "a boot loader (Rockchip)"}, // its header is encrypted, by a key that all have
	{16384 * 512, "\xd0\x0d\xfe\xed", 16384 * 512, "a boot loader (U-Boot)"},
	{16384 * 512, "LOADER  ", 16384 * 512, "a boot loader (Rockchip)"},
	{16*512 + 4, "eGON.BT0", 16 * 512, "a boot loader (Allwinner)"},
	{256*512 + 4, "eGON.BT0", 256 * 512, "a boot loader (Allwinner)"},
	{66 * 512, "\xd1\x00\x20", 66 * 512, "a boot loader (i.MX)"},
	{64 * 512, "\xd1\x00\x20", 64 * 512, "a boot loader (i.MX)"},
	{138 * 512, "\x27\x05\x19\x56", 138 * 512, "a boot loader (U-Boot)"},
	{768 * 512, "\x27\x05\x19\x56", 768 * 512, "a boot loader (U-Boot)"},
}

// bootLoader returns the first boot loader that lies in e.
func bootLoader(dev blockdev.Device, e disk.Extent, passed []disk.Extent) disk.Trailing {
	for _, l := range loaders {
		mark := disk.Extent{Offset: l.at, Size: disk.Bytes(len(l.text))}
		if !e.Contains(mark) || slices.ContainsFunc(passed, mark.Overlaps) {
			continue
		}
		p := make([]byte, len(l.text))
		if n, _ := dev.ReadAt(p, int64(l.at)); n == len(p) && string(p) == l.text {
			return disk.Trailing{Offset: l.start, Kind: l.name}
		}
	}
	return disk.Trailing{}
}
