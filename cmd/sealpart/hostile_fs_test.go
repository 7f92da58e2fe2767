package main

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
)

// put writes bytes somewhere in root.
func put(at int, value ...byte) func(victim) {
	return func(v victim) { copy(v.image[rootStart+at:], value) }
}

func le32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// super sets a field of the ext4 superblock (kernel, ext4.h: struct ext4_super_block),
// whose checksum is made good.
func super(at int, value ...byte) func(victim) {
	return func(v victim) {
		sb := v.image[rootStart+1024:][:1024]
		copy(sb[at:], value)
		sum := ^crc32.Checksum(sb[:1020], crc32.MakeTable(crc32.Castagnoli))
		binary.LittleEndian.PutUint32(sb[1020:], sum)
	}
}

// instead clears root and writes pieces into it, each bytes at a place.
func instead(changes ...func(victim)) func(victim) {
	return all(append([]func(victim){func(v victim) { clear(v.image[rootStart : rootStart+16<<20]) }}, changes...)...)
}

// The places of ext4's superblock fields.
const (
	extBlocks    = 4
	extFree      = 12
	extLogBlock  = 24
	extPerGroup  = 32
	extInodes    = 40
	extState     = 58
	extIncompat  = 96
	extBlocksTop = 336
)

var hostileFilesystems = []hostile{
	{name: "nothing wrong", change: nothing, want: used},
	{name: "ext4 with a label that steers a terminal", change: super(120, []byte("\x1b[2J\n")...), want: used},
	{name: "ext4 larger than the partition", change: super(extBlocks, le32(1<<20)...), want: refused},
	{name: "ext4 of all numbers", change: all(super(extIncompat, 0xc2, 2, 0, 0), super(extBlocksTop, le32(math.MaxUint32)...), super(extBlocks, le32(math.MaxUint32)...)), want: refused},
	{name: "ext4 of no size", change: super(extBlocks, le32(0)...), want: refused},
	{name: "ext4 with blocks of 2^99 bytes", change: super(extLogBlock, le32(89)...), want: refused},
	{name: "ext4 with no blocks in a group", change: super(extPerGroup, le32(0)...), want: used},
	{name: "ext4 with no inodes in a group", change: super(extInodes, le32(0)...), want: used},
	{name: "ext4 with a wrong checksum", change: put(1024+extFree, 0xff, 0xff, 0xff), want: refused},
	{name: "ext4 with a feature nobody knows", change: super(extIncompat, 0xc2, 2, 0, 0x40), want: used},
	{name: "ext4 that was not unmounted", change: super(extState, 0, 0), want: used},
	{name: "ext4 with errors", change: super(extState, 3, 0), want: used},
	{name: "ext4 with more free than it has", change: super(extFree, le32(math.MaxUint32)...), want: used},
	{name: "ext4 and swap", change: put(4086, []byte("SWAPSPACE2")...), want: refused},
	{name: "ext4 and btrfs", change: put(64<<10+64, []byte("_BHRfS_M")...), want: refused},
	{name: "ext4 and a GPT", change: put(512, []byte("EFI PART")...), want: refused},
	{name: "ext4 and a second LUKS2 header", change: all(put(16<<10, []byte("SKUL\xba\xbe\x00\x02")...), put(16<<10+256, 0, 0, 0, 0, 0, 0, 0x40, 0)), want: refused},
	{name: "zeroes", change: instead(), want: refused},
	{name: "verity of nonsense", change: instead(put(0, []byte("verity\x00\x00\x01\x00\x00\x00")...), put(64, le32(math.MaxUint32)...), put(68, le32(3)...), put(72, le64(math.MaxInt64)...), put(80, 0xff, 0xff)), want: refused},
	{name: "verity of a version nobody knows", change: instead(put(0, []byte("verity\x00\x00\x09\x00\x00\x00")...)), want: refused},
	{name: "verity that steers a terminal", change: instead(put(0, []byte("verity\x00\x00\x01\x00\x00\x00")...), put(32, []byte("\x1b[2J")...)), want: refused},
	{name: "xfs of all numbers", change: instead(put(0, []byte("XFSB\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")...), put(100, 0xb4, 0xa5, 0xff, 0xff)), want: refused},
	{name: "xfs of nothing", change: instead(put(0, []byte("XFSB")...)), want: refused},
	{name: "btrfs of all numbers", change: instead(put(64<<10+64, []byte("_BHRfS_M")...), put(64<<10+112, le64(math.MaxUint64)...), put(64<<10+209, le64(math.MaxUint64)...)), want: refused},
	{name: "f2fs of blocks of 4 GiB", change: instead(put(1024, le32(0xf2f52010)...), put(1024+16, le32(32)...), put(1024+36, le64(math.MaxUint64)...)), want: refused},
	{name: "squashfs of all numbers", change: instead(put(0, []byte("hsqs")...), put(28, 4, 0), put(40, le64(math.MaxUint64)...)), want: refused},
	{name: "erofs of all numbers", change: instead(put(1024, le32(0xe0f5e1e2)...), put(1024+12, 16), put(1024+36, le32(math.MaxUint32)...)), want: refused},
	{name: "swap of all numbers", change: instead(put(1024, le32(1)...), put(1028, le32(math.MaxUint32)...), put(4086, []byte("SWAPSPACE2")...)), want: refused},
	{name: "swap of nothing", change: instead(put(4086, []byte("SWAPSPACE2")...)), want: refused},
	{name: "vfat of nonsense", change: instead(put(0, []byte("\xeb\x58\x90mkfs.fat\xff\xff\xff\xff\xff\xff")...), put(32, le32(math.MaxUint32)...), put(82, []byte("FAT32   ")...), put(510, 0x55, 0xaa)), want: refused},
	{name: "LVM2", change: instead(put(512, []byte("LABELONE")...), put(512+24, []byte("LVM2 001")...)), want: refused},
	{name: "BitLocker", change: instead(put(3, []byte("-FVE-FS-")...), put(510, 0x55, 0xaa)), want: refused},
	{name: "NTFS", change: instead(put(3, []byte("NTFS    ")...), put(510, 0x55, 0xaa)), want: refused},
	{name: "a table of its own", change: instead(put(446+4, 0x83, 0, 0, 0, 1, 0, 0, 0, 1), put(510, 0x55, 0xaa)), want: refused},
}

// TestHostileFilesystems: what claims to be a file system, in a partition that is to
// be encrypted in place.
func TestHostileFilesystems(t *testing.T) {
	root := makeRoot(t, 16<<20, "", "mkfs.ext4", "-q", "-O", "metadata_csum", "FILE")
	suite{golden: "filesystems.txt", base: makeDisk(t, root), root: convert, judge: judgeConverted, cases: hostileFilesystems}.run(t)
}
