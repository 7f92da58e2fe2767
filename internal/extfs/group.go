package extfs

import (
	"encoding/binary"
	"fmt"
)

// group is what a group descriptor says (struct ext4_group_desc), in blocks.
type group struct {
	number      int64
	first, end  int64 // the blocks of the group: first up to, not including, end
	blockBitmap int64
	inodeBitmap int64
	inodeTable  int64
	free        int64 // clusters
	uninit      bool  // BLOCK_UNINIT: the block bitmap on disk means nothing
	checksum    uint32
	checksumAll bool // checksum has 32 bits, not only 16
}

// blockRange is the blocks first up to, not including, end.
type blockRange struct{ first, end int64 }

// descriptorBlock is the block of group descriptors that was read last.
type descriptorBlock struct {
	number int64
	data   []byte
}

// descriptor reads and checks the descriptor of group number.
func (f *FS) descriptor(number int64) (group, error) {
	perBlock := int64(f.BlockSize) / f.super.descriptorSize
	block := f.descriptorBlockAt(number / perBlock)
	if f.cache.number != block {
		f.cache.number = -1
		data, err := f.readBlock(f.cache.data, block)
		if err != nil {
			return group{}, fmt.Errorf("ext group descriptors: %w", err)
		}
		f.cache = descriptorBlock{number: block, data: data}
	}
	raw := f.cache.data[number%perBlock*f.super.descriptorSize:][:f.super.descriptorSize]
	if err := f.checkDescriptor(number, raw); err != nil {
		return group{}, err
	}
	g := f.parseDescriptor(number, raw)
	for _, m := range f.tables(g) {
		if m.first < f.super.firstDataBlock || m.end > f.Blocks {
			return group{}, fmt.Errorf("ext group %d: its tables at block %d are not in the file system", number, m.first)
		}
	}
	return g, nil
}

// readBlock reads a block into buf, which it makes where it is nil.
func (f *FS) readBlock(buf []byte, block int64) ([]byte, error) {
	if buf == nil {
		buf = make([]byte, f.BlockSize)
	}
	if block < 0 || block >= f.Blocks {
		return nil, fmt.Errorf("block %d is not in the file system", block)
	}
	if n, err := f.r.ReadAt(buf, block*int64(f.BlockSize)); n < len(buf) {
		return nil, fmt.Errorf("block %d: %w", block, err)
	}
	return buf, nil
}

// parseDescriptor decodes a descriptor of 32 bytes, or of 64 and more.
func (f *FS) parseDescriptor(number int64, raw []byte) group {
	le := binary.LittleEndian
	g := group{
		number:      number,
		blockBitmap: int64(le.Uint32(raw)),
		inodeBitmap: int64(le.Uint32(raw[4:])),
		inodeTable:  int64(le.Uint32(raw[8:])),
		free:        int64(le.Uint16(raw[12:])),
		checksum:    uint32(le.Uint16(raw[24:])),
	}
	if len(raw) >= 64 {
		g.blockBitmap |= int64(le.Uint32(raw[32:])) << 32
		g.inodeBitmap |= int64(le.Uint32(raw[36:])) << 32
		g.inodeTable |= int64(le.Uint32(raw[40:])) << 32
		g.free |= int64(le.Uint16(raw[44:])) << 16
		g.checksum |= uint32(le.Uint16(raw[56:])) << 16
		g.checksumAll = true
	}
	const blockUninit = 0x2
	g.uninit = f.super.groupChecksums() && le.Uint16(raw[18:])&blockUninit != 0
	g.first = f.super.firstDataBlock + number*f.super.blocksPerGroup
	g.end = min(g.first+f.super.blocksPerGroup, f.Blocks)
	return g
}

// checkDescriptor checks a descriptor against its own checksum, at byte 30.
func (f *FS) checkDescriptor(number int64, raw []byte) error {
	want := binary.LittleEndian.Uint16(raw[30:])
	id := binary.LittleEndian.AppendUint32(nil, uint32(number))
	var got uint16
	switch s := f.super; {
	case s.roCompat&roCompatMetadataCsum != 0:
		crc := crc32c(crc32c(s.seed, id), raw[:30])
		got = uint16(crc32c(crc32c(crc, []byte{0, 0}), raw[32:]))
	case s.roCompat&roCompatGDTCsum != 0:
		got = crc16(crc16(crc16(crc16(^uint16(0), s.UUID[:]), id), raw[:30]), raw[32:])
	default:
		return nil
	}
	if got != want {
		return fmt.Errorf("ext group %d: descriptor checksum is %#x, should be %#x", number, want, got)
	}
	return nil
}
