package mkfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// While a committed shrink is being done, the superblock's first sector is marked:
// with an incompatible feature that nobody has, so that no kernel mounts the file
// system and no checker changes it, and with the place of the redo, where the path of
// the last mount was. Size, label and UUID are still those of before. That one sector
// is all that changes, so it is there or not; the superblock's checksum, which is in
// the other sector, is kept right by four more bytes: the e2fsprogs would turn to a
// backup superblock and mend what is half done.
const (
	superblockAt = 1024 // from the start of the file system
	sectorSize   = 512

	incompatAt   = 96
	incompatMark = 1 << 31
	markAt       = 136 // s_last_mounted: "sealpart", block, sum, 12 spare bytes, 4 to balance
	markBalance  = markAt + 60
	checksumAt   = 1020
)

// marked returns the superblock sb with a mark in its first sector.
func marked(sb []byte, to pointer) []byte {
	sb = bytes.Clone(sb)
	le := binary.LittleEndian
	le.PutUint32(sb[incompatAt:], le.Uint32(sb[incompatAt:])|incompatMark)
	clear(sb[markAt : markBalance+4])
	copy(sb[markAt:], redoMagic)
	le.PutUint64(sb[markAt+8:], uint64(to.block))
	copy(sb[markAt+16:], to.sum[:])
	balance(sb[:checksumAt], markBalance, le.Uint32(sb[checksumAt:]))
	return sb
}

// markOf returns the mark of a superblock, if it has one.
func markOf(sb []byte) (to pointer, ok bool) {
	le := binary.LittleEndian
	if le.Uint16(sb[56:]) != 0xEF53 || le.Uint32(sb[incompatAt:])&incompatMark == 0 || !bytes.HasPrefix(sb[markAt:], []byte(redoMagic)) {
		return pointer{}, false
	}
	return pointer{int64(le.Uint64(sb[markAt+8:])), [32]byte(sb[markAt+16 : markAt+48])}, true
}

// balance sets the four bytes at place so that the CRC-32C of p is want, as ext4
// counts it. A CRC is undone byte by byte from its end, since the top byte of each
// entry of its table is another; where the bytes before and those after meet, their
// difference is what the four bytes must be.
func balance(p []byte, place int, want uint32) {
	table := crc32.MakeTable(crc32.Castagnoli)
	var entryOf [256]byte
	for i, e := range table {
		entryOf[e>>24] = byte(i)
	}
	clear(p[place : place+4])
	after := want
	for i := len(p) - 1; i >= place; i-- {
		e := entryOf[after>>24]
		after = (after^table[e])<<8 | uint32(e^p[i])
	}
	before := ^crc32.Update(0, table, p[:place])
	binary.LittleEndian.PutUint32(p[place:], before^after)
}

// superblockOf returns the 1024 bytes of the superblock in d.
func superblockOf(d io.ReaderAt) ([]byte, error) {
	sb := make([]byte, 1024)
	if n, err := d.ReadAt(sb, superblockAt); n < len(sb) {
		return nil, fmt.Errorf("read the ext superblock: %w", cmpError(err))
	}
	return sb, nil
}
