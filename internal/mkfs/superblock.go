package mkfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/sealpart/sealpart/disk"
)

// superblock is the little of an ext superblock that resizing needs (kernel,
// Documentation/filesystems/ext4, struct ext4_super_block).
type superblock struct {
	blockSize  disk.Bytes
	size       disk.Bytes
	inodes     uint32
	freeInodes uint32
}

// readSuperblock reads the superblock of the ext file system in w.
func (w Window) readSuperblock() (superblock, error) {
	file, err := os.Open(w.Path)
	if err != nil {
		return superblock{}, err
	}
	defer file.Close()
	return readSuperblockOf(file, w.name(), w.Offset)
}

// readSuperblockOf is like readSuperblock, of an open file that errors show by a name.
func readSuperblockOf(file *os.File, name string, offset disk.Bytes) (superblock, error) {
	raw := make([]byte, 1024)
	if _, err := io.ReadFull(io.NewSectionReader(file, int64(offset)+1024, 1024), raw); err != nil {
		return superblock{}, fmt.Errorf("read the ext superblock of %s at %d: %w", name, offset, err)
	}
	s, err := parseSuperblock(raw)
	if err != nil {
		return superblock{}, fmt.Errorf("%s at %d: %w", name, offset, err)
	}
	return s, nil
}

// parseSuperblock reads the 1024 bytes of a superblock.
func parseSuperblock(raw []byte) (superblock, error) {
	const incompat64bit = 0x80
	le := binary.LittleEndian
	if le.Uint16(raw[56:]) != 0xEF53 {
		return superblock{}, fmt.Errorf("no ext file system")
	}
	logBlockSize := le.Uint32(raw[24:])
	if logBlockSize > 6 {
		return superblock{}, fmt.Errorf("the ext superblock is damaged: log block size %d", logBlockSize)
	}
	blocks := uint64(le.Uint32(raw[4:]))
	if le.Uint32(raw[96:])&incompat64bit != 0 {
		blocks |= uint64(le.Uint32(raw[336:])) << 32
	}
	blockSize := disk.Bytes(1024) << logBlockSize
	if blocks > uint64((1<<62)/blockSize) {
		return superblock{}, fmt.Errorf("the ext superblock is damaged: %d blocks", blocks)
	}
	return superblock{
		blockSize: blockSize, size: disk.Bytes(blocks) * blockSize,
		inodes: le.Uint32(raw[0:]), freeInodes: le.Uint32(raw[16:]),
	}, nil
}

// lastInode returns the number of the last inode in use in a fresh file system.
func lastInode(image *os.File) (int, error) {
	s, err := readSuperblockOf(image, image.Name(), 0)
	return int(s.inodes - s.freeInodes), err
}
