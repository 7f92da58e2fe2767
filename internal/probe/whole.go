package probe

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/internal/disk"
)

// member looks for what the disk, which has a table, is a part of. A signature that lies in
// a partition is that partition's: the end of the last one may be that of the disk.
func (m *image) member(r io.ReaderAt, size disk.Bytes, entries []disk.Entry) (*disk.Content, error) {
	m.open(r, size)
	for _, f := range containers {
		c, ok := f.find(m)
		if !ok || m.leftover(c) || slices.ContainsFunc(entries, func(e disk.Entry) bool { return e.Contains(disk.Extent{Offset: c.At, Size: 1}) }) {
			continue
		}
		return &c, nil
	}
	if m.err != nil {
		return nil, fmt.Errorf("looking for an array that the disk is a member of: %w", m.err)
	}
	return nil, nil
}

// What is read of a disk on which nothing known is found, in bytes: both its ends, and
// places all over it.
const (
	wholeEnds   = 4 << 20
	sampleCount = 256
	sampleSize  = 4 << 10
)

// unknown reports what is on a disk on which nothing known is found: no content where
// everything that is read of it is blank, else that there is something, and where.
func (m *image) unknown() (disk.Content, error) {
	if m.has(510, "\x55\xAA") {
		return disk.Content{Kind: "dos"}, nil // without partitions, and somebody's nevertheless
	}
	buf := make([]byte, maxRead)
	at, err := m.firstByte(buf, 0, min(wholeEnds, m.size))
	for n := int64(1); n <= sampleCount && at < 0 && err == nil; n++ {
		place := m.size / (sampleCount + 1) * n &^ (sampleSize - 1)
		at, err = m.firstByte(buf, place, min(place+sampleSize, m.size))
	}
	if at < 0 && err == nil {
		at, err = m.firstByte(buf, max(0, m.size-wholeEnds)&^(sampleSize-1), m.size)
	}
	if at < 0 || err != nil {
		return disk.Content{}, err
	}
	return disk.Content{At: disk.Bytes(at), Problem: fmt.Sprintf("unknown data, the first of it found at byte %d", at)}, nil
}

// firstByte returns where, from byte at up to end, the first block lies that is not blank:
// all zeros, or all ones as erased flash reads. It is -1 where all are.
func (m *image) firstByte(buf []byte, at, end int64) (int64, error) {
	for ; at < end; at += int64(len(buf)) {
		piece := buf[:min(int64(len(buf)), end-at)]
		if m.read(piece, at) == nil {
			return -1, fmt.Errorf("looking whether the disk is empty: %w", cmp.Or(m.err, io.ErrUnexpectedEOF))
		}
		for start := 0; start < len(piece); start += sampleSize {
			block := piece[start:min(start+sampleSize, len(piece))]
			if n := len(block) - len(bytes.TrimLeft(block, string(block[:1]))); n < len(block) || block[0] != 0 && block[0] != 0xFF {
				return at + int64(start), nil
			}
		}
	}
	return -1, nil
}
