package extfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Place and size of the superblock, in bytes.
const (
	superblockOffset = 1024
	superblockSize   = 1024
)

// ErrNone says that there is no ext2, ext3 or ext4 superblock.
var ErrNone = errors.New("no ext2, ext3 or ext4 superblock")

// Superblock is what the superblock says of the file system as a whole.
type Superblock struct {
	Kind       string // blkid's TYPE: "ext2", "ext3", "ext4", or "jbd" for an external journal
	Version    string // revision and minor revision: "1.0"
	UUID       uuid.UUID
	Label      string
	BlockSize  disk.Bytes
	Blocks     int64 // length of the file system, in blocks
	FreeBlocks int64 // as last counted when it was unmounted
	Unclean    bool  // not unmounted cleanly, journal to be replayed, or errors found
	// ChecksumBad says that the file system has metadata checksums and the
	// superblock's is wrong: nothing else here can be relied on.
	ChecksumBad bool

	compat, incompat, roCompat uint32
	journalInode               uint32 // of a journal in the file system
	mmpBlock                   int64  // of multiple mount protection
	geometry
	seed uint32 // of the metadata checksums
}

// geometry is what places the groups and their tables. It is not checked yet
// when it is read; Open does that.
type geometry struct {
	firstDataBlock    int64
	logClusterSize    uint32
	blocksPerGroup    int64
	clustersPerGroup  int64
	inodesPerGroup    int64
	inodeSize         int64
	descriptorSize    int64
	reservedGDTBlocks int64
	firstMetaBG       int64
	backupGroups      [2]int64 // of sparse_super2
}

// ReadSuperblock reads the primary superblock. It fails with ErrNone where none is,
// or where one is that cannot be true, such as a block size above 64 KiB.
func ReadSuperblock(r io.ReaderAt) (*Superblock, error) {
	raw := make([]byte, superblockSize)
	if _, err := r.ReadAt(raw, superblockOffset); errors.Is(err, io.EOF) {
		return nil, ErrNone
	} else if err != nil {
		return nil, fmt.Errorf("ext superblock: %w", err)
	}
	return parseSuperblock(raw)
}

// parseSuperblock decodes the 1024 bytes of struct ext4_super_block.
func parseSuperblock(raw []byte) (*Superblock, error) {
	le := binary.LittleEndian
	logBlockSize := le.Uint32(raw[24:])
	if le.Uint16(raw[56:]) != 0xEF53 || logBlockSize > 6 {
		return nil, ErrNone
	}
	s := &Superblock{
		Version:   fmt.Sprintf("%d.%d", le.Uint32(raw[76:]), le.Uint16(raw[62:])),
		UUID:      uuid.UUID(raw[104:120]),
		Label:     string(untilNUL(raw[120:136])),
		BlockSize: 1024 << logBlockSize,
		compat:    le.Uint32(raw[92:]),
		incompat:  le.Uint32(raw[96:]),
		roCompat:  le.Uint32(raw[100:]),
	}
	s.journalInode, s.mmpBlock = le.Uint32(raw[224:]), int64(le.Uint64(raw[360:]))
	s.Kind = s.kind()
	s.Blocks, s.FreeBlocks = s.count(raw, 4, 336), s.count(raw, 12, 344)
	state := le.Uint16(raw[58:])
	const cleanlyUnmounted, errorsDetected = 0x1, 0x2
	s.Unclean = state&cleanlyUnmounted == 0 || state&errorsDetected != 0 || s.incompat&incompatRecover != 0
	s.geometry = s.parseGeometry(raw)
	s.parseChecksum(raw)
	return s, nil
}

// count reads a block count that the 64bit feature splits in two.
func (s *Superblock) count(raw []byte, lo, hi int) int64 {
	n := int64(binary.LittleEndian.Uint32(raw[lo:]))
	if s.incompat&incompat64Bit != 0 {
		n |= int64(binary.LittleEndian.Uint32(raw[hi:])) << 32
	}
	return n
}

// parseGeometry reads the fields that place the groups, with the values that
// revision 0 and the absence of a feature imply.
func (s *Superblock) parseGeometry(raw []byte) geometry {
	le := binary.LittleEndian
	g := geometry{
		firstDataBlock:    int64(le.Uint32(raw[20:])),
		logClusterSize:    le.Uint32(raw[24:]),
		blocksPerGroup:    int64(le.Uint32(raw[32:])),
		inodesPerGroup:    int64(le.Uint32(raw[40:])),
		inodeSize:         128,
		descriptorSize:    32,
		reservedGDTBlocks: int64(le.Uint16(raw[206:])),
		firstMetaBG:       int64(le.Uint32(raw[260:])),
		backupGroups:      [2]int64{int64(le.Uint32(raw[588:])), int64(le.Uint32(raw[592:]))},
	}
	g.clustersPerGroup = g.blocksPerGroup
	if le.Uint32(raw[76:]) > 0 {
		g.inodeSize = int64(le.Uint16(raw[88:]))
	}
	if s.incompat&incompat64Bit != 0 {
		g.descriptorSize = int64(le.Uint16(raw[254:]))
	}
	if s.roCompat&roCompatBigalloc != 0 {
		g.logClusterSize = le.Uint32(raw[28:])
		g.clustersPerGroup = int64(le.Uint32(raw[36:]))
	}
	return g
}

// parseChecksum checks the superblock's checksum and takes the seed for all others.
func (s *Superblock) parseChecksum(raw []byte) {
	le := binary.LittleEndian
	if s.roCompat&roCompatMetadataCsum == 0 {
		return
	}
	s.ChecksumBad = crc32c(^uint32(0), raw[:1020]) != le.Uint32(raw[1020:])
	s.seed = crc32c(^uint32(0), s.UUID[:])
	if s.incompat&incompatCsumSeed != 0 {
		s.seed = le.Uint32(raw[624:])
	}
}

// untilNUL returns the text of a fixed field that NUL bytes fill up.
func untilNUL(field []byte) []byte {
	text, _, _ := bytes.Cut(field, []byte{0})
	return text
}
