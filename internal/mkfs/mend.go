package mkfs

import "encoding/binary"

// mend writes what e2fsck changed in the overlay to the disk. What says that the journal
// is still to be replayed comes last: the journal's superblock, and then the file
// system's. A power cut leaves
//
//   - before: the file system with its journal, mended in part. The next check replays
//     that again, over what it wrote the first time, and mends the rest;
//   - between the two: one whose journal is said to be needed, and is empty;
//   - afterwards: the mended file system.
func (o *overlay) mend(d device, s superblock) error {
	changed, err := o.changed(int64(s.blockSize), int64(s.size))
	if err != nil {
		return err
	}
	for turn := range lastTurn + 1 {
		for _, b := range changed {
			if err := o.writeBack(d, b, int64(s.blockSize), turn); err != nil {
				return err
			}
		}
		if err := d.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// changed returns the blocks of a file system of size bytes in which the overlay differs
// from what lies below.
func (o *overlay) changed(blockSize, size int64) (blocks []int64, err error) {
	written, err := o.written(blockSize, size)
	if err != nil {
		return nil, err
	}
	for _, b := range written {
		differs, err := o.differs(b*blockSize, blockSize)
		if err != nil {
			return nil, err
		}
		if differs {
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}

// writeBack writes a block of the overlay to the disk, if it is its turn.
func (o *overlay) writeBack(d device, b, blockSize int64, turn int) error {
	p := make([]byte, blockSize)
	if n, err := d.ReadAt(p, b*blockSize); n < len(p) {
		return cmpError(err)
	}
	if turnOf(b, p) != turn {
		return nil
	}
	if n, err := o.ReadAt(p, b*blockSize); n < len(p) {
		return cmpError(err)
	}
	_, err := d.WriteAt(p, b*blockSize)
	return err
}

const lastTurn = 2

// turnOf returns when a block is written that holds old so far.
func turnOf(b int64, old []byte) int {
	switch {
	case b == superblockAt/int64(len(old)):
		return lastTurn
	case isJournalSuperblock(old):
		return 1
	default:
		return 0
	}
}

// isJournalSuperblock reports whether a block looks like that of a journal (kernel,
// Documentation/filesystems/ext4/journal.rst: struct journal_header_s, versions 1 and 2).
func isJournalSuperblock(p []byte) bool {
	kind := binary.BigEndian.Uint32(p[4:])
	return binary.BigEndian.Uint32(p) == 0xC03B3998 && (kind == 3 || kind == 4)
}
