package mkfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// redo is a list of blocks to be written, kept on the disk itself in blocks that are
// free both before and after: what a resize does to blocks in use, once it is
// committed.
//
// It is a chain of index blocks. Each begins with
//
//	 0  8 bytes  "sealpart"
//	 8  4 bytes  number of entries in this block
//	16  8 bytes  the next index block, 0 for none
//	24 32 bytes  SHA-256 of the next index block
//
// and from byte 64 on has entries of 32 bytes: the block that is to be written, the
// block that holds what is to be written there, and the first 16 bytes of its
// SHA-256. Numbers are little-endian and count blocks of the file system.
type redo struct {
	blockSize int64
	entries   []redoEntry
}

type redoEntry struct {
	target, source int64
	sum            [16]byte
}

const (
	redoMagic     = "sealpart"
	redoHeader    = 64
	redoEntrySize = 32
)

// pointer is where a redo begins, and the sum of its first index block.
type pointer struct {
	block int64
	sum   [32]byte
}

func redoPerBlock(blockSize int64) int64 { return (blockSize - redoHeader) / redoEntrySize }

// redoBlocks is how many blocks a redo of n blocks takes.
func redoBlocks(n, blockSize int64) int64 {
	per := redoPerBlock(blockSize)
	return n + (n+per-1)/per
}

// writeRedo writes the new content of the targets and the index into room, which has
// redoBlocks of them. Nothing is synced.
func writeRedo(d io.WriterAt, content io.ReaderAt, blockSize int64, targets, room []int64) (pointer, error) {
	entries := make([]redoEntry, len(targets))
	p := make([]byte, blockSize)
	for i, target := range targets {
		if n, err := content.ReadAt(p, target*blockSize); n < len(p) {
			return pointer{}, cmpError(err)
		}
		if _, err := d.WriteAt(p, room[i]*blockSize); err != nil {
			return pointer{}, err
		}
		entries[i] = redoEntry{target, room[i], blockSum(p)}
	}
	return writeIndex(d, blockSize, entries, room[len(targets):])
}

// writeIndex writes the index blocks, the last one first, since each holds the sum of
// the next.
func writeIndex(d io.WriterAt, blockSize int64, entries []redoEntry, room []int64) (next pointer, err error) {
	chunks := slices.Collect(slices.Chunk(entries, int(redoPerBlock(blockSize))))
	for i, chunk := range slices.Backward(chunks) {
		p := encodeIndex(blockSize, chunk, next)
		if _, err := d.WriteAt(p, room[i]*blockSize); err != nil {
			return pointer{}, err
		}
		next = pointer{room[i], sha256.Sum256(p)}
	}
	return next, nil
}

func encodeIndex(blockSize int64, entries []redoEntry, next pointer) []byte {
	p, le := make([]byte, blockSize), binary.LittleEndian
	copy(p, redoMagic)
	le.PutUint32(p[8:], uint32(len(entries)))
	le.PutUint64(p[16:], uint64(next.block))
	copy(p[24:56], next.sum[:])
	for i, e := range entries {
		at := p[redoHeader+i*redoEntrySize:]
		le.PutUint64(at, uint64(e.target))
		le.PutUint64(at[8:], uint64(e.source))
		copy(at[16:32], e.sum[:])
	}
	return p
}

// readRedo reads a redo and checks all of it, contents too, before anybody acts on
// it. blocks is how many there are in the window.
func readRedo(d io.ReaderAt, at pointer, blockSize, blocks int64) (redo, error) {
	r, p := redo{blockSize: blockSize}, make([]byte, blockSize)
	for at.block != 0 {
		if err := readBlock(d, p, at.block, blocks); err != nil {
			return redo{}, err
		}
		if sha256.Sum256(p) != at.sum {
			return redo{}, fmt.Errorf("index block %d is not what was written", at.block)
		}
		var entries []redoEntry
		var err error
		if entries, at, err = decodeIndex(p); err != nil {
			return redo{}, err
		}
		if r.entries = append(r.entries, entries...); int64(len(r.entries)) > blocks {
			return redo{}, fmt.Errorf("more entries than blocks")
		}
	}
	return r, r.check(d, blocks)
}

// decodeIndex reads one index block.
func decodeIndex(p []byte) ([]redoEntry, pointer, error) {
	le := binary.LittleEndian
	n := int64(le.Uint32(p[8:]))
	if !bytes.HasPrefix(p, []byte(redoMagic)) || n < 1 || n > redoPerBlock(int64(len(p))) {
		return nil, pointer{}, fmt.Errorf("no index block of a shrink")
	}
	entries := make([]redoEntry, n)
	for i := range entries {
		at := p[redoHeader+i*redoEntrySize:]
		entries[i] = redoEntry{int64(le.Uint64(at)), int64(le.Uint64(at[8:])), [16]byte(at[16:32])}
	}
	return entries, pointer{int64(le.Uint64(p[16:])), [32]byte(p[24:56])}, nil
}

// check reads the contents.
func (r redo) check(d io.ReaderAt, blocks int64) error {
	p := make([]byte, r.blockSize)
	for _, e := range r.entries {
		if e.target < 0 || e.target >= blocks {
			return fmt.Errorf("block %d is outside the file system's place", e.target)
		}
		if err := readBlock(d, p, e.source, blocks); err != nil {
			return err
		}
		if blockSum(p) != e.sum {
			return fmt.Errorf("block %d is not what was written", e.source)
		}
	}
	return nil
}

func readBlock(d io.ReaderAt, p []byte, block, blocks int64) error {
	if block < 0 || block >= blocks {
		return fmt.Errorf("block %d is outside the file system's place", block)
	}
	if n, err := d.ReadAt(p, block*int64(len(p))); n < len(p) {
		return cmpError(err)
	}
	return nil
}

func blockSum(p []byte) (short [16]byte) {
	sum := sha256.Sum256(p)
	copy(short[:], sum[:])
	return short
}
