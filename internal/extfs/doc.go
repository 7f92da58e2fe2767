// Package extfs reads from an ext2, ext3 or ext4 file system which of its bytes
// are in use, so that an encryption in place may skip, or discard, the rest.
//
// A byte is in use when the block allocation bitmap says so; files, directories,
// inode tables, the journal and the file system's own tables are all counted
// there. Two things are not on the disk and are worked out here: the boot block
// in front of the first data block, and the bitmaps of groups that the file
// system has never initialised (BLOCK_UNINIT).
//
// What this package calls free will be lost. So it believes nothing that it can
// check: the checksums of the superblock, of the group descriptors and of the
// bitmaps where the file system has them, and each group's count of free blocks
// against its bitmap always. A file system that was not unmounted cleanly, or
// has a feature that is not known here, is refused.
//
// The names are those of the kernel's Documentation/filesystems/ext4 (structures
// super_block and group_desc).
package extfs
