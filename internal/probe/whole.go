package probe

import (
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
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
func (m *image) unknown(dev blockdev.Device) (disk.Content, error) {
	if m.has(510, "\x55\xAA") {
		return disk.Content{Kind: "dos"}, nil // without partitions, and somebody's nevertheless
	}
	size := disk.Bytes(m.size)
	places := []disk.Extent{{Size: min(wholeEnds, size)}}
	for n := disk.Bytes(1); n <= sampleCount; n++ {
		place := (size / (sampleCount + 1) * n).RoundDown(sampleSize)
		places = append(places, disk.Extent{Offset: place, Size: min(sampleSize, size-place)})
	}
	end := max(0, size-wholeEnds).RoundDown(sampleSize)
	for _, place := range append(places, disk.Extent{Offset: end, Size: size - end}) {
		at, err := blockdev.NonBlank(dev, place)
		if err != nil {
			return disk.Content{}, fmt.Errorf("looking whether the disk is empty: %w", err)
		}
		if at >= 0 {
			return disk.Content{At: at, Problem: fmt.Sprintf("unknown data, the first of it found at byte %d", at)}, nil
		}
	}
	return disk.Content{}, nil
}
