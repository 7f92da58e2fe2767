package verity

import "fmt"

// layout is where each level of a tree lies on the hash device.
type layout struct {
	digestSize int // bytes of a digest
	slot       int // bytes from one digest to the next; divides the hash block size
	// levels[0] holds the hashes of the data blocks, the last level is the
	// single block whose hash is the root hash. There is none for a single
	// data block.
	levels []level
	size   int64 // bytes of the hash device from its start to the end of the tree
}

// level is a stretch of the hash device.
type level struct {
	offset int64 // bytes from the start of the device
	blocks int64 // number of hash blocks
}

// newLayout computes the layout that a valid superblock implies. Nothing here can
// overflow: a level takes at most 64 bytes for each 512 bytes below it.
func newLayout(sb Superblock) (layout, error) {
	newHash, err := algorithm(sb.Algorithm)
	if err != nil {
		return layout{}, err
	}
	l := layout{digestSize: newHash().Size()}
	l.slot = slotSize(l.digestSize)
	for below, perBlock := sb.DataBlocks, int64(sb.HashBlockSize/l.slot); below > 1; {
		below = (below-1)/perBlock + 1
		l.levels = append(l.levels, level{blocks: below})
	}
	l.size = int64(sb.HashBlockSize) // the superblock, which fits the smallest hash block
	for i := len(l.levels) - 1; i >= 0; i-- {
		l.levels[i].offset = l.size
		l.size += l.levels[i].blocks * int64(sb.HashBlockSize)
	}
	return l, nil
}

// TreeSize returns the size in bytes of the hash device, superblock and all, for
// a data device of dataSize bytes. The last bytes of the data device that are no
// whole data block are not counted, as veritysetup does not count them.
func TreeSize(dataSize int64, dataBlockSize, hashBlockSize int, algorithm string) (int64, error) {
	sb := Superblock{Algorithm: algorithm, DataBlockSize: dataBlockSize, HashBlockSize: hashBlockSize}
	if err := validBlockSize("data", dataBlockSize); err != nil {
		return 0, fmt.Errorf("size of a verity tree: %w", err)
	}
	sb.DataBlocks = dataSize / int64(dataBlockSize)
	return sb.TreeSize()
}

// DigestSize returns the size in bytes of a digest, and so of the root hash.
func (sb Superblock) DigestSize() (int, error) {
	newHash, err := algorithm(sb.Algorithm)
	if err != nil {
		return 0, err
	}
	return newHash().Size(), nil
}

// TreeSize returns the size in bytes of the hash device, superblock and all.
func (sb Superblock) TreeSize() (int64, error) {
	if err := sb.validate(); err != nil {
		return 0, fmt.Errorf("size of a verity tree: %w", err)
	}
	l, err := newLayout(sb)
	return l.size, err
}
