package verity

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// CorruptError names the first block, reading from the root hash down, whose hash
// is not the one promised above it.
type CorruptError struct {
	Level  int   // level of the hash tree, 0 next to the data; -1 for the data
	Block  int64 // number of the block in its level, or on the data device
	Offset int64 // of the block in bytes, on the hash device or on the data device
	// Root tells that it was the root hash that promised the block: the root
	// hash may then as well be that of another device.
	Root bool
}

func (e *CorruptError) Error() string {
	what := fmt.Sprintf("data block %d (byte %d of the data device)", e.Block, e.Offset)
	if e.Level >= 0 {
		what = fmt.Sprintf("block %d of level %d of the hash tree (byte %d of the hash device)", e.Block, e.Level, e.Offset)
	}
	if e.Root {
		return what + " does not match the root hash: corrupt, or the root hash of something else"
	}
	return what + " is corrupt"
}

// Verify reads the hash tree and the data device whole and checks them against the
// root hash, from the top down, so that each level is checked before it is
// trusted. It returns a *CorruptError, wrapped, for the first block that is not
// what the root hash promises. Both devices are read by several goroutines at once.
// progress, when not nil, is told from time to time how many bytes of data have been
// checked, from one goroutine.
func Verify(ctx context.Context, data, hashes io.ReaderAt, rootHash []byte, progress func(done int64)) error {
	sb, err := ReadSuperblock(hashes)
	if err != nil {
		return fmt.Errorf("verify verity: %w", err)
	}
	v, err := newVerifier(hashes, sb)
	if err != nil {
		return fmt.Errorf("verify verity: %w", err)
	}
	if len(rootHash) != v.digestSize {
		return fmt.Errorf("verify verity: root hash of %d bytes: %s has %d", len(rootHash), sb.Algorithm, v.digestSize)
	}
	if err := v.verify(ctx, data, rootHash, progress); err != nil {
		return fmt.Errorf("verify verity: %w", err)
	}
	return nil
}

// verifier checks blocks against the level above them.
type verifier struct {
	layout
	superblock Superblock
	device     io.ReaderAt // the hash device
	digester   digester
}

func newVerifier(device io.ReaderAt, sb Superblock) (*verifier, error) {
	l, err := newLayout(sb)
	if err != nil {
		return nil, err
	}
	d := digester{algorithm: sb.Algorithm, slot: l.slot, salt: sb.Salt}
	return &verifier{layout: l, superblock: sb, device: device, digester: d}, nil
}

// verify checks the levels from the top down, then the data.
func (v *verifier) verify(ctx context.Context, data io.ReaderAt, rootHash []byte, progress func(done int64)) error {
	for i := len(v.levels) - 1; i >= 0; i-- {
		if err := v.level(ctx, v.treeBlocks(i), i, rootHash, nil); err != nil {
			return err
		}
	}
	return v.level(ctx, dataBlocks(data, v.superblock), -1, rootHash, progress)
}

func (v *verifier) treeBlocks(i int) blocks {
	return blocks{
		name:      fmt.Sprintf("block of level %d of the hash tree", i),
		device:    v.device,
		offset:    v.levels[i].offset,
		blockSize: v.superblock.HashBlockSize,
		count:     v.levels[i].blocks,
	}
}

// level checks one level, or the data as level -1, against the level above it.
func (v *verifier) level(ctx context.Context, from blocks, i int, rootHash []byte, progress func(done int64)) error {
	var promised []byte
	check := func(first int64, slots []byte) error {
		promised = append(promised[:0], slots...)
		if err := v.readAbove(promised, i, first, rootHash); err != nil {
			return err
		}
		bad := firstDifference(slots, promised, v.slot, v.digestSize)
		if bad < 0 {
			return nil
		}
		block := first + int64(bad)
		return &CorruptError{
			Level:  i,
			Block:  block,
			Offset: from.offset + block*int64(from.blockSize),
			Root:   i == len(v.levels)-1,
		}
	}
	return v.digester.digests(ctx, from, check, progress)
}

// readAbove fills slots with what the level above promises of the blocks of a
// level, from the first. A slot never straddles two hash blocks, so that the
// slots of a level follow each other without a gap.
func (v *verifier) readAbove(slots []byte, i int, first int64, rootHash []byte) error {
	if i == len(v.levels)-1 {
		copy(slots, rootHash)
		return nil
	}
	offset := v.levels[i+1].offset + first*int64(v.slot)
	if err := readFull(v.device, slots, offset); err != nil {
		return fmt.Errorf("read %d bytes of the hash tree at byte %d: %w", len(slots), offset, err)
	}
	return nil
}

// firstDifference returns the number of the first slot whose digest differs, or -1.
func firstDifference(a, b []byte, slot, digestSize int) int {
	for i := 0; i < len(a); i += slot {
		if !bytes.Equal(a[i:i+digestSize], b[i:i+digestSize]) {
			return i / slot
		}
	}
	return -1
}
