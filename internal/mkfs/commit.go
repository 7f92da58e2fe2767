package mkfs

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/extfs"
)

// device is the window of a file system.
type device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// change is what a resize does to a file system, sorted by what each block was.
type change struct {
	blockSize int64
	free      []int64 // blocks that were free: writing them changes nothing
	used      []int64 // blocks that were in use
	room      []int64 // blocks that are free and stay so, for the redo
}

// sort decides where what goes, of the blocks that a file system of size bytes has.
// Nothing is written.
//
// All that was written to free blocks is written again, also what is there already (a
// power cut left it): else it would look free, and take the redo.
func (o *overlay) sort(below io.ReaderAt, blockSize, size int64) (change, error) {
	written, err := o.written(blockSize, size)
	if err != nil {
		return change{}, err
	}
	c := change{blockSize: blockSize}
	if err := c.place(below, o.size, written); err != nil {
		return change{}, err
	}
	same := func(b int64) bool {
		differs, differsErr := o.differs(b*blockSize, blockSize)
		err = errors.Join(err, differsErr)
		return !differs
	}
	if c.used = slices.DeleteFunc(c.used, same); err != nil {
		return change{}, err
	}
	need := redoBlocks(int64(len(c.used)), blockSize)
	if int64(len(c.room)) < need {
		return change{}, fmt.Errorf("doing this safely takes %d free blocks and only %d are there; delete some files", need, len(c.room))
	}
	c.room = c.room[:need]
	return c, c.checkRoom(o)
}

// place sorts the written blocks by what they were, and finds room.
func (c *change) place(below io.ReaderAt, size int64, written []int64) error {
	fs, err := extfs.Open(below, disk.Bytes(size))
	if err != nil {
		return err
	}
	most, next := redoBlocks(int64(len(written)), c.blockSize), int64(0)
	err = fs.Used(func(e disk.Extent) error {
		written = c.addFree(next, int64(e.Offset)/c.blockSize, written, most)
		next = int64(e.End()) / c.blockSize
		i, _ := slices.BinarySearch(written, next)
		c.used, written = append(c.used, written[:i]...), written[i:]
		return nil
	})
	if err != nil {
		return err
	}
	c.addFree(next, fs.Blocks, written, most)
	return nil
}

// addFree sorts the free blocks from next to end: those that were written, and room
// for at most so many others. It returns the written blocks from end on.
func (c *change) addFree(next, end int64, written []int64, most int64) []int64 {
	i, _ := slices.BinarySearch(written, end)
	c.free = append(c.free, written[:i]...)
	for b := next; b < end && int64(len(c.room)) < most; b++ {
		if _, found := slices.BinarySearch(written[:i], b); !found {
			c.room = append(c.room, b)
		}
	}
	return written[i:]
}

// checkRoom demands that the new file system does not use the room for the redo
// either.
func (c *change) checkRoom(o *overlay) error {
	fs, err := extfs.Open(o, disk.Bytes(o.size))
	if err != nil {
		return err
	}
	return fs.Used(func(e disk.Extent) error {
		i, _ := slices.BinarySearch(c.room, int64(e.Offset)/c.blockSize)
		if i < len(c.room) && c.room[i] < int64(e.End())/c.blockSize {
			return fmt.Errorf("resize2fs uses block %d without writing it", c.room[i])
		}
		return nil
	})
}

// commit makes the content of the changed blocks that of the disk. A power cut leaves
//
//   - until the mark: the file system as it was, with rubbish in free blocks;
//   - from then on: a marked one, which finish makes the new one.
func (c change) commit(d device, size int64, content io.ReaderAt) error {
	if len(c.used) == 0 {
		return errors.New("the resize changed no superblock")
	}
	p := make([]byte, c.blockSize)
	for _, b := range c.free {
		if n, err := content.ReadAt(p, b*c.blockSize); n < len(p) {
			return cmpError(err)
		}
		if _, err := d.WriteAt(p, b*c.blockSize); err != nil {
			return err
		}
	}
	to, err := writeRedo(d, content, c.blockSize, c.used, c.room)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	sb, err := superblockOf(d)
	if err != nil {
		return err
	}
	if err := writeSync(d, marked(sb, to)[:sectorSize], superblockAt); err != nil {
		return err
	}
	_, err = finish(d, size)
	return err
}

// finish does what a marked file system says, and reports whether there was a mark. It
// may be repeated. The superblock is last, its second sector before its first, which
// takes the mark away. A power cut leaves the mark, or the new file system. With the
// second sector new and the mark still there, the superblock's checksum is wrong; the
// backups are new and right by then, should a checker turn to them.
func finish(d device, size int64) (bool, error) {
	sb, err := superblockOf(d)
	if err != nil {
		return false, err
	}
	to, ok := markOf(sb)
	if !ok {
		return false, nil
	}
	s, err := parseSuperblock(sb)
	if err != nil {
		return false, err
	}
	r, err := readRedo(d, to, int64(s.blockSize), size/int64(s.blockSize))
	if err != nil {
		return false, fmt.Errorf("a shrink was begun and its journal cannot be read: %w", err)
	}
	return true, r.apply(d)
}

// apply writes the blocks.
func (r redo) apply(d device) error {
	last := slices.IndexFunc(r.entries, func(e redoEntry) bool { return e.target == superblockAt/r.blockSize })
	if last < 0 {
		return errors.New("the journal of a shrink has no superblock")
	}
	p := make([]byte, r.blockSize)
	for i, e := range r.entries {
		if n, err := d.ReadAt(p, e.source*r.blockSize); n < len(p) {
			return cmpError(err)
		}
		if i == last {
			continue
		}
		if _, err := d.WriteAt(p, e.target*r.blockSize); err != nil {
			return err
		}
	}
	if err := d.Sync(); err != nil {
		return err
	}
	return r.applySuperblock(d, r.entries[last])
}

// applySuperblock writes the superblock's block, the sector with the mark last.
func (r redo) applySuperblock(d device, e redoEntry) error {
	p, at := make([]byte, r.blockSize), e.target*r.blockSize
	if n, err := d.ReadAt(p, e.source*r.blockSize); n < len(p) {
		return cmpError(err)
	}
	first := superblockAt - at // of the sector, in p
	if _, err := d.WriteAt(p[:first], at); err != nil {
		return err
	}
	if err := writeSync(d, p[first+sectorSize:], superblockAt+sectorSize); err != nil {
		return err
	}
	return writeSync(d, p[first:first+sectorSize], superblockAt)
}

func writeSync(d device, p []byte, off int64) error {
	if _, err := d.WriteAt(p, off); err != nil {
		return err
	}
	return d.Sync()
}
