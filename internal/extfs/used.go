package extfs

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/sealpart/sealpart/disk"
)

// Used calls yield with every extent of the device that the file system counts
// as in use, in bytes, ascending, merged, none adjacent to the next. What it does
// not name, up to Blocks*BlockSize, is free; behind that the file system has no
// say. It stops at yield's first error and returns it.
//
// All group descriptors are checked before the first extent; a damaged bitmap is
// found only when its turn comes, so act on nothing before Used returned nil.
// Memory: a few blocks, whatever the size of the file system.
func (f *FS) Used(yield func(disk.Extent) error) error {
	strays, err := f.strayTables()
	if err != nil {
		return err
	}
	run := runs{blockSize: f.BlockSize, yield: yield}
	if err := run.add(blockRange{0, f.super.firstDataBlock}); err != nil { // the boot block
		return err
	}
	var bitmap []byte
	for number := range f.groups {
		g, err := f.descriptor(number)
		if err != nil {
			return err
		}
		if bitmap, err = f.blockBitmap(bitmap, g, strays); err != nil {
			return fmt.Errorf("ext group %d: %w", number, err)
		}
		if err := f.addGroup(&run, g, bitmap); err != nil {
			return err
		}
	}
	return run.flush()
}

// maxStrays bounds the memory for tables outside their group. No tool makes any
// that lie in an uninitialised group, so this many are a forgery.
const maxStrays = 1 << 12

// strayTables checks all descriptors and returns the bitmaps and inode tables that
// lie in a group which has no bitmap on disk and is not their own.
func (f *FS) strayTables() ([]blockRange, error) {
	var outside []blockRange
	uninit := make([]uint64, (f.groups+63)/64)
	for number := range f.groups {
		g, err := f.descriptor(number)
		if err != nil {
			return nil, err
		}
		if g.uninit {
			uninit[number/64] |= 1 << (number % 64)
		}
	}
	for number := range f.groups {
		g, err := f.descriptor(number)
		if err != nil {
			return nil, err
		}
		for _, t := range f.tables(g) {
			if f.inUninit(t, g, uninit) {
				outside = append(outside, t)
			}
		}
		if len(outside) > maxStrays {
			return nil, errors.New("ext file system: tables lie in uninitialised groups")
		}
	}
	return outside, nil
}

// inUninit reports whether t, a table of g, touches an uninitialised group other than g.
func (f *FS) inUninit(t blockRange, g group, uninit []uint64) bool {
	first := (t.first - f.super.firstDataBlock) / f.super.blocksPerGroup
	last := (t.end - 1 - f.super.firstDataBlock) / f.super.blocksPerGroup
	for number := first; number <= last; number++ {
		if number != g.number && uninit[number/64]&(1<<(number%64)) != 0 {
			return true
		}
	}
	return false
}

// blockBitmap returns the allocation bitmap of g, one bit a cluster, set where in
// use: from disk and checked, or worked out for a group that has none on disk.
func (f *FS) blockBitmap(buf []byte, g group, strays []blockRange) ([]byte, error) {
	var err error
	if g.uninit {
		buf = f.initialBitmap(buf, g, strays)
	} else if buf, err = f.readBlock(buf, g.blockBitmap); err != nil {
		return nil, fmt.Errorf("block bitmap: %w", err)
	} else if err := f.checkBitmap(g, buf); err != nil {
		return nil, err
	}
	if free := f.countFree(g, buf); free != g.free {
		return nil, fmt.Errorf("block bitmap has %d clusters free, the descriptor %d; run e2fsck", free, g.free)
	}
	return buf, nil
}

// checkBitmap checks a bitmap read from disk against the descriptor's checksum.
func (f *FS) checkBitmap(g group, bitmap []byte) error {
	if f.super.roCompat&roCompatMetadataCsum == 0 {
		return nil
	}
	crc := crc32c(f.super.seed, bitmap[:f.super.clustersPerGroup/8])
	if !g.checksumAll {
		crc &= 0xFFFF
	}
	if crc != g.checksum {
		return fmt.Errorf("block bitmap checksum is %#x, should be %#x", crc, g.checksum)
	}
	return nil
}

// initialBitmap works out the bitmap of a group that holds nothing but the file
// system's own tables.
func (f *FS) initialBitmap(buf []byte, g group, strays []blockRange) []byte {
	if buf == nil {
		buf = make([]byte, f.BlockSize)
	}
	clear(buf)
	if g.number == 0 {
		f.mark(buf, g, blockRange{g.first, f.superAt(0)}) // the boot block, where it is in the group
	}
	own := f.tables(g)
	for _, list := range [][]blockRange{f.base(g.number), own[:], strays} {
		for _, m := range list {
			f.mark(buf, g, m)
		}
	}
	return buf
}

// mark sets the bits of the clusters of g that m touches.
func (f *FS) mark(bitmap []byte, g group, m blockRange) {
	first, end := max(m.first, g.first), min(m.end, g.end)
	if first >= end {
		return
	}
	for c := (first - g.first) / f.ratio; c <= (end-1-g.first)/f.ratio; c++ {
		bitmap[c/8] |= 1 << (c % 8)
	}
}

// clusters returns how many clusters g has; the last may be cut off by the end of
// the file system.
func (f *FS) clusters(g group) int64 { return (g.end - g.first + f.ratio - 1) / f.ratio }

// countFree counts the clusters of g that bitmap calls free.
func (f *FS) countFree(g group, bitmap []byte) int64 {
	n, used := f.clusters(g), 0
	for _, b := range bitmap[:n/8] {
		used += bits.OnesCount8(b)
	}
	if rest := n % 8; rest > 0 {
		used += bits.OnesCount8(bitmap[n/8] & (1<<rest - 1))
	}
	return n - int64(used)
}

// addGroup adds the clusters of g that are in use to run.
func (f *FS) addGroup(run *runs, g group, bitmap []byte) error {
	n := f.clusters(g)
	for c := int64(0); c < n; {
		value := bitmap[c/8] >> (c % 8)
		if c%8 == 0 && value == 0 { // most of an empty disk
			c += 8
			continue
		}
		length := int64(bits.TrailingZeros8(^value))
		if value&1 == 0 {
			c += int64(min(bits.TrailingZeros8(value), 8-int(c%8)))
			continue
		}
		length = min(length, n-c)
		first := g.first + c*f.ratio
		if err := run.add(blockRange{first, min(first+length*f.ratio, g.end)}); err != nil {
			return err
		}
		c += length
	}
	return nil
}

// runs joins ranges that come in ascending order and hands on what is complete.
type runs struct {
	blockSize disk.Bytes
	yield     func(disk.Extent) error
	open      blockRange
}

// add appends r, which starts at or behind the end of all that came before.
func (r *runs) add(next blockRange) error {
	if next.first == r.open.end {
		r.open.end = next.end
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.open = next
	return nil
}

// flush hands on the open run.
func (r *runs) flush() error {
	if r.open.first == r.open.end {
		return nil
	}
	return r.yield(disk.Extent{
		Offset: disk.Bytes(r.open.first) * r.blockSize,
		Size:   disk.Bytes(r.open.end-r.open.first) * r.blockSize,
	})
}
