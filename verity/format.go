package verity

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Options say what Format makes. The same options over the same data give the
// same bytes: nothing is chosen at random here.
type Options struct {
	Superblock
	// Progress, when not nil, is told from time to time how many bytes of data
	// have been hashed, from one goroutine.
	Progress func(done int64)
}

// Format hashes the data device, writes superblock and tree to the hash device
// and returns the root hash. It writes TreeSize bytes, in whole hash blocks, and
// does not sync them. data is read by several goroutines at once.
//
// A power cut leaves the hash device without a superblock, or, if what was
// written is not yet synced, with any mixture of what was there and what is to
// come; the root hash is not known then, and Format starts again from nothing.
func Format(ctx context.Context, data io.ReaderAt, hashes io.WriterAt, o Options) (rootHash []byte, err error) {
	superblock, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("format verity: %w", err)
	}
	t, err := newTree(hashes, o.Superblock)
	if err != nil {
		return nil, fmt.Errorf("format verity: %w", err)
	}
	// An older superblock must not introduce a tree that is half a new one.
	if err := t.writeHead(make([]byte, SuperblockSize)); err != nil {
		return nil, fmt.Errorf("format verity: erase the superblock: %w", err)
	}
	if rootHash, err = t.grow(ctx, data, o); err != nil {
		return nil, fmt.Errorf("format verity: %w", err)
	}
	if err := t.writeHead(superblock); err != nil {
		return nil, fmt.Errorf("format verity: write the superblock: %w", err)
	}
	return rootHash, nil
}

// tree is a hash tree being written, all levels at once: each keeps only the
// blocks that it has not written yet.
type tree struct {
	device     io.WriterAt
	blockSize  int // bytes of a hash block
	digestSize int
	digester   digester
	hasher     hasher   // for the blocks of the tree
	branches   []branch // level 0 first
	root       []byte   // the root hash, once the block under it is written
}

// branch is the unwritten end of one level.
type branch struct {
	offset int64  // where buffer goes on the device, in bytes
	buffer []byte // the digests; its capacity is a multiple of the hash block size
	slots  []byte // the digests of the blocks in buffer, once it is full
}

// branchSize is how many bytes of a level are gathered before they are hashed, all
// blocks at a time, and written.
const branchSize = 64 << 10

func newTree(device io.WriterAt, sb Superblock) (*tree, error) {
	l, err := newLayout(sb)
	if err != nil {
		return nil, err
	}
	d := digester{algorithm: sb.Algorithm, slot: l.slot, salt: sb.Salt}
	h, err := d.hasher(sb.HashBlockSize)
	if err != nil {
		return nil, err
	}
	t := &tree{
		device:     device,
		blockSize:  sb.HashBlockSize,
		digestSize: l.digestSize,
		digester:   d,
		hasher:     h,
		branches:   make([]branch, len(l.levels)),
	}
	for i := range t.branches {
		size := max(branchSize, sb.HashBlockSize)
		t.branches[i] = branch{
			offset: l.levels[i].offset,
			buffer: make([]byte, 0, size),
			slots:  make([]byte, size/sb.HashBlockSize*l.slot),
		}
	}
	return t, nil
}

// writeHead writes all that lies before the tree.
func (t *tree) writeHead(superblock []byte) error {
	head := make([]byte, t.blockSize)
	copy(head, superblock)
	_, err := t.device.WriteAt(head, 0)
	return err
}

func (t *tree) grow(ctx context.Context, data io.ReaderAt, o Options) ([]byte, error) {
	take := func(_ int64, slots []byte) error { return t.add(0, slots) }
	if err := t.digester.digests(ctx, dataBlocks(data, o.Superblock), take, o.Progress); err != nil {
		return nil, err
	}
	return t.finish()
}

func dataBlocks(data io.ReaderAt, sb Superblock) blocks {
	return blocks{name: "data block", device: data, blockSize: sb.DataBlockSize, count: sb.DataBlocks}
}

// add appends digests, each in its slot, to a level, and writes the level when it
// has gathered enough. Above the top level is the root.
func (t *tree) add(i int, slots []byte) error {
	if i == len(t.branches) {
		t.root = append(t.root, slots[:t.digestSize]...)
		return nil
	}
	for l := &t.branches[i]; len(slots) > 0; {
		n := min(cap(l.buffer)-len(l.buffer), len(slots))
		l.buffer = append(l.buffer, slots[:n]...)
		slots = slots[n:]
		if len(l.buffer) == cap(l.buffer) {
			if err := t.flush(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the whole blocks that a level has gathered, and adds their digests
// to the level above. A power cut leaves a part of a tree without a superblock.
func (t *tree) flush(i int) error {
	l := &t.branches[i]
	if _, err := t.device.WriteAt(l.buffer, l.offset); err != nil {
		return fmt.Errorf("write %d bytes of the hash tree at byte %d: %w", len(l.buffer), l.offset, err)
	}
	slots := l.slots[:len(l.buffer)/t.blockSize*t.digester.slot]
	t.hasher.Sum(slots, l.buffer)
	l.offset += int64(len(l.buffer))
	l.buffer = l.buffer[:0]
	return t.add(i+1, slots)
}

// finish pads the last block of each level with zeros and writes it, from the
// bottom up since each completes a slot above it.
func (t *tree) finish() ([]byte, error) {
	for i := range t.branches {
		l := &t.branches[i]
		if over := len(l.buffer) % t.blockSize; over != 0 {
			l.buffer = append(l.buffer, make([]byte, t.blockSize-over)...)
		}
		if len(l.buffer) > 0 {
			if err := t.flush(i); err != nil {
				return nil, err
			}
		}
	}
	if len(t.root) != t.digestSize {
		return nil, errors.New("the hash tree did not come down to one root hash")
	}
	return t.root, nil
}
