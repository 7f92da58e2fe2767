package probe

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/extfs"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const badChecksum = "superblock checksum is wrong"

// distrusted is a file system whose superblock's checksum is wrong. It has no size:
// what is done by it, such as encrypting so many bytes in place and writing over
// what lies behind, would be done by a damaged number.
func distrusted(c disk.Content) disk.Content {
	c.Size, c.Free, c.Problem = 0, 0, badChecksum
	return c
}

// findExt finds ext2, ext3 and ext4, and an external journal of one.
func findExt(m *image) (disk.Content, bool) {
	sb, err := extfs.ReadSuperblock(m)
	if err != nil {
		return disk.Content{}, false
	}
	c := disk.Content{
		Kind: sb.Kind, Version: sb.Version, Label: text([]byte(sb.Label)), UUID: uuidText(sb.UUID[:]),
		Size:      product(uint64(sb.Blocks), uint64(sb.BlockSize)),
		BlockSize: sb.BlockSize,
		Free:      product(uint64(sb.FreeBlocks), uint64(sb.BlockSize)),
		Unclean:   sb.Unclean, Rigid: sb.Rigid(), User: text([]byte(sb.User(m))),
	}
	if sb.ChecksumBad {
		c = distrusted(c)
	}
	return c, true
}

// findXFS finds XFS (XFS Algorithms & Data Structures, Superblocks).
func findXFS(m *image) (disk.Content, bool) {
	sb := m.at(0, 512)
	if sb == nil || string(sb[:4]) != "XFSB" {
		return disk.Content{}, false
	}
	be := binary.BigEndian
	block, sector := uint64(be.Uint32(sb[4:])), int64(be.Uint16(sb[102:]))
	c := disk.Content{
		Kind: "xfs", UUID: uuidText(sb[32:48]), Label: text(sb[108:120]),
		Size: product(be.Uint64(sb[8:]), block),
		// The log is written in sectors, so these and not the larger blocks are
		// what the device below must be able to write.
		BlockSize: disk.Bytes(sector),
		Free:      product(be.Uint64(sb[144:]), block),
	}
	if full := m.at(0, sector); be.Uint16(sb[100:])&0xF == 5 && !xfsChecksum(full) {
		c = distrusted(c)
	}
	return c, true
}

// xfsChecksum checks the CRC-32C at byte 224, which counts itself as zero.
func xfsChecksum(sector []byte) bool {
	if len(sector) < 512 {
		return false
	}
	crc := crc32.Checksum(sector[:224], castagnoli)
	crc = crc32.Update(crc, castagnoli, make([]byte, 4))
	return crc32.Update(crc, castagnoli, sector[228:]) == binary.LittleEndian.Uint32(sector[224:])
}

// findBtrfs finds btrfs by its primary superblock. Size is that of this device,
// of which a file system may have several.
func findBtrfs(m *image) (disk.Content, bool) {
	sb := m.at(64<<10, 4096)
	if sb == nil || string(sb[64:72]) != "_BHRfS_M" {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	c := disk.Content{
		Kind: "btrfs", UUID: uuidText(sb[32:48]), Label: text(sb[299:555]),
		Size: product(le.Uint64(sb[209:]), 1), BlockSize: disk.Bytes(le.Uint32(sb[144:])),
		Unclean: le.Uint64(sb[96:]) != 0, // log_root: fsync'ed data to be replayed
	}
	// Free is what no data takes, inside of chunks too, which the kernel empties where it must;
	// how much more the second copies of metadata take is not in the superblock.
	c.Free = max(0, c.Size-product(le.Uint64(sb[120:]), 1))
	if le.Uint64(sb[136:]) != 1 {
		c.Free, c.Rigid = 0, "it spans several devices"
	}
	const csumCRC32C = 0
	if le.Uint16(sb[196:]) == csumCRC32C && crc32.Checksum(sb[32:], castagnoli) != le.Uint32(sb) {
		c = distrusted(c)
	}
	return c, true
}

// findF2FS finds F2FS (kernel, f2fs_fs.h: struct f2fs_super_block).
func findF2FS(m *image) (disk.Content, bool) {
	sb := m.at(1024, 1148)
	if sb == nil || binary.LittleEndian.Uint32(sb) != 0xF2F52010 {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	block := uint64(1) << min(le.Uint32(sb[16:]), 16)
	return disk.Content{
		Kind: "f2fs", Version: fmt.Sprintf("%d.%d", le.Uint16(sb[4:]), le.Uint16(sb[6:])),
		UUID: uuidText(sb[108:124]), Label: text16(sb[124:1148], le),
		Size: product(le.Uint64(sb[36:]), block), BlockSize: disk.Bytes(block),
	}, true
}

// findSquashfs finds squashfs 4, and names an older one. It reads through the page cache and works on any
// sector size, so it has no BlockSize.
func findSquashfs(m *image) (disk.Content, bool) {
	sb := m.at(0, 96)
	if sb == nil || string(sb[:4]) != "hsqs" {
		return disk.Content{}, false
	}
	le := binary.LittleEndian
	version := fmt.Sprintf("%d.%d", le.Uint16(sb[28:]), le.Uint16(sb[30:]))
	if le.Uint16(sb[28:]) < 4 { // no kernel of today reads it, and its size stands elsewhere
		return disk.Content{Kind: "squashfs3", Version: version}, true
	}
	return disk.Content{Kind: "squashfs", Version: version, Size: product(le.Uint64(sb[40:]), 1)}, true
}

// findEROFS finds EROFS (kernel, erofs_fs.h: struct erofs_super_block).
func findEROFS(m *image) (disk.Content, bool) {
	sb := m.at(1024, 128)
	if sb == nil || binary.LittleEndian.Uint32(sb) != 0xE0F5E1E2 || sb[12] < 9 || sb[12] > 16 {
		return disk.Content{}, false
	}
	block := uint64(1) << sb[12]
	return disk.Content{
		Kind: "erofs", UUID: uuidText(sb[48:64]), Label: text(sb[64:80]),
		Size: product(uint64(binary.LittleEndian.Uint32(sb[36:])), block), BlockSize: disk.Bytes(block),
	}, true
}
