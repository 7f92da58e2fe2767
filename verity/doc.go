// Package verity is the dm-verity on-disk format: a superblock and a hash tree
// on one device, which let the kernel check every block it reads from another
// against one root hash. Hash type 1 with a superblock, as veritysetup writes it
// and veritysetup(8) and the kernel's dm-verity documentation describe it; the
// Chrome OS type 0 is refused.
//
// The data device is cut into data blocks. The salted hashes of the data blocks,
// each in a slot of a power of two bytes, make up level 0 of the tree, in hash
// blocks; the salted hashes of the hash blocks of one level make up the level
// above, until one block is left. Its hash is the root hash. A device of a single
// data block has no tree: its hash is the root hash.
//
//	byte 0         superblock, zeros up to the hash block size
//	               the top level: one block
//	               …
//	               level 0
//
// Format writes the tree and returns the root hash. Verify reads everything and
// names the first block that is not what the root hash promises. Both stream:
// their memory does not depend on the size of the device. They use all CPUs, and
// each CPU hashes several blocks at a time (see internal/sha256x). Neither syncs nor keeps
// the root hash: nothing on either device is of use to anybody who does not have
// the root hash from elsewhere, so a Format that was cut short leaves nothing to
// be mistaken for a finished one, and the owner of the root hash must sync the
// hash device before publishing it.
package verity
