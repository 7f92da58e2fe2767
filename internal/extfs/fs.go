package extfs

import (
	"errors"
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
)

// ErrUnclean says that the file system must be checked (e2fsck) or its journal
// replayed before its bitmaps tell the truth.
var ErrUnclean = errors.New("not cleanly unmounted")

// FS is an ext2, ext3 or ext4 file system opened for reading its allocation state.
type FS struct {
	BlockSize  disk.Bytes
	Blocks     int64 // length of the file system, in blocks
	FreeBlocks int64 // as the superblock counts them

	r      io.ReaderAt
	super  *Superblock
	groups int64
	ratio  int64 // blocks in a cluster; 1 without bigalloc
	cache  descriptorBlock
}

// Open reads the superblock of the file system that starts at byte 0 of r, which
// is size bytes long. It fails with ErrNone where there is none, with ErrUnclean
// where the bitmaps may be stale, and with a plain error where the superblock is
// damaged, has unknown features, or the file system is larger than size.
func Open(r io.ReaderAt, size disk.Bytes) (*FS, error) {
	s, err := ReadSuperblock(r)
	if err != nil {
		return nil, err
	}
	f := &FS{BlockSize: s.BlockSize, Blocks: s.Blocks, FreeBlocks: s.FreeBlocks, r: r, super: s, cache: descriptorBlock{number: -1}}
	for _, check := range []func() error{f.checkTrust, f.checkFeatures, f.checkGroups, f.checkTables} {
		if err := check(); err != nil {
			return nil, fmt.Errorf("%s file system: %w", s.Kind, err)
		}
	}
	if s.Blocks > int64(size/s.BlockSize) {
		return nil, fmt.Errorf("%s file system: %d blocks of %d bytes do not fit into %d bytes", s.Kind, s.Blocks, s.BlockSize, size)
	}
	return f, nil
}

// checkTrust refuses a superblock that does not vouch for the bitmaps.
func (f *FS) checkTrust() error {
	switch {
	case f.super.ChecksumBad:
		return errors.New("superblock checksum is wrong")
	case f.super.Unclean:
		return ErrUnclean
	}
	return nil
}

// checkFeatures refuses what might give the bitmaps another meaning.
func (f *FS) checkFeatures() error {
	s := f.super
	switch {
	case s.incompat&^incompatKnown != 0:
		return fmt.Errorf("unknown incompatible features %#x", s.incompat&^incompatKnown)
	case s.roCompat&^roCompatKnown != 0:
		return fmt.Errorf("unknown read-only compatible features %#x", s.roCompat&^roCompatKnown)
	}
	return nil
}

// maxGroups bounds the work and the memory (a bit a group) that a forged
// superblock can ask for; it is 8 PiB in mke2fs's default groups of 128 MiB.
const maxGroups = 1 << 26

// checkGroups checks the numbers that divide the file system into groups. The
// lower bound of 256 blocks a group is mke2fs's own.
func (f *FS) checkGroups() error {
	s, bits := f.super, int64(f.BlockSize)*8
	logBlock := uint32(0)
	for 1024<<logBlock < int64(f.BlockSize) {
		logBlock++
	}
	if s.logClusterSize < logBlock || s.logClusterSize > 29 {
		return fmt.Errorf("cluster size 2^%d KiB is out of range", s.logClusterSize)
	}
	f.ratio = 1 << (s.logClusterSize - logBlock)
	switch {
	case s.blocksPerGroup < 256 || s.clustersPerGroup < 8 || s.clustersPerGroup > bits || s.clustersPerGroup%8 != 0:
		return fmt.Errorf("%d blocks a group is out of range", s.blocksPerGroup)
	case s.clustersPerGroup*f.ratio != s.blocksPerGroup:
		return fmt.Errorf("%d clusters of %d blocks are not a group of %d blocks", s.clustersPerGroup, f.ratio, s.blocksPerGroup)
	case s.firstDataBlock > 1 || s.firstDataBlock == 1 && f.BlockSize != 1024:
		return fmt.Errorf("first data block %d is out of range", s.firstDataBlock)
	case s.Blocks <= s.firstDataBlock || s.Blocks > 1<<48:
		return fmt.Errorf("%d blocks is out of range", s.Blocks)
	}
	f.groups = (s.Blocks - s.firstDataBlock + s.blocksPerGroup - 1) / s.blocksPerGroup
	if f.groups > maxGroups {
		return fmt.Errorf("%d block groups are more than %d", f.groups, maxGroups)
	}
	return nil
}

// checkTables checks the sizes of the tables in a group.
func (f *FS) checkTables() error {
	s := f.super
	switch {
	case s.inodesPerGroup < 1 || s.inodesPerGroup > int64(f.BlockSize)*8:
		return fmt.Errorf("%d inodes a group is out of range", s.inodesPerGroup)
	case s.inodeSize < 128 || s.inodeSize > int64(f.BlockSize) || !powerOfTwo(s.inodeSize):
		return fmt.Errorf("inode size %d is out of range", s.inodeSize)
	case s.descriptorSize < 32 || s.descriptorSize > 1024 || !powerOfTwo(s.descriptorSize):
		return fmt.Errorf("group descriptor size %d is out of range", s.descriptorSize)
	case s.incompat&incompat64Bit != 0 && s.descriptorSize < 64:
		return fmt.Errorf("group descriptor size %d is too small for 64bit", s.descriptorSize)
	}
	return nil
}

func powerOfTwo(n int64) bool { return n > 0 && n&(n-1) == 0 }
