package extfs

// Feature bits of the superblock that this package and its callers look at
// (Documentation/filesystems/ext4, s_feature_compat, _incompat and _ro_compat).
const (
	compatHasJournal   = 0x4
	compatSparseSuper2 = 0x200
	compatStableInodes = 0x800

	incompatRecover    = 0x4
	incompatJournalDev = 0x8
	incompatMetaBG     = 0x10
	incompat64Bit      = 0x80
	incompatMMP        = 0x100
	incompatCsumSeed   = 0x2000

	roCompatSparseSuper  = 0x1
	roCompatGDTCsum      = 0x10
	roCompatBigalloc     = 0x200
	roCompatMetadataCsum = 0x400
)

// The features under which allocation is known to mean what this package takes
// it to mean. Left out on purpose: compression, snapshots and replicas, which
// change what the bitmaps say, and journal devices, which have none.
const (
	incompatKnown = 0x2 | // filetype
		incompatRecover | // known, and refused as unclean
		incompatMetaBG |
		0x40 | // extents
		incompat64Bit |
		incompatMMP |
		0x200 | // flex_bg
		0x400 | // ea_inode
		0x1000 | // dirdata
		incompatCsumSeed |
		0x4000 | // large_dir
		0x8000 | // inline_data
		0x10000 | // encrypt
		0x20000 // casefold
	roCompatKnown = roCompatSparseSuper |
		0x2 | // large_file
		0x4 | // btree_dir
		0x8 | // huge_file
		roCompatGDTCsum |
		0x20 | // dir_nlink
		0x40 | // extra_isize
		0x100 | // quota
		roCompatBigalloc |
		roCompatMetadataCsum |
		0x1000 | // read-only
		0x2000 | // project
		0x4000 | // shared_blocks
		0x8000 | // verity
		0x10000 // orphan_present
)

// The features that the ext2 and ext3 drivers can live with; with any other the
// file system is an ext4.
const (
	ext2Incompat = 0x2 | incompatMetaBG
	ext3Incompat = ext2Incompat | incompatRecover
	ext3ROCompat = roCompatSparseSuper | 0x2 | 0x4
)

// kind returns blkid's TYPE for a superblock with these features.
func (s *Superblock) kind() string {
	switch {
	case s.incompat&incompatJournalDev != 0:
		return "jbd"
	case s.roCompat&^ext3ROCompat != 0:
		return "ext4"
	case s.compat&compatHasJournal == 0 && s.incompat&^ext2Incompat == 0:
		return "ext2"
	case s.compat&compatHasJournal != 0 && s.incompat&^ext3Incompat == 0:
		return "ext3"
	}
	return "ext4"
}

// groupChecksums reports whether the group descriptors carry checksums, and
// BLOCK_UNINIT therefore has a meaning.
func (s *Superblock) groupChecksums() bool {
	return s.roCompat&(roCompatGDTCsum|roCompatMetadataCsum) != 0
}
