package executor

import (
	"io"
	"sort"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/extfs"
)

// inUse says which logical bytes of a conversion matter: runs in ascending order,
// whole 4096-byte blocks. Nil means all.
type inUse []disk.Extent

// usedExtents returns what the ext file system in r counts as in use.
func usedExtents(r io.ReaderAt, size disk.Bytes) ([]disk.Extent, error) {
	fs, err := extfs.Open(r, size)
	if err != nil {
		return nil, err
	}
	var used []disk.Extent
	err = fs.Used(func(e disk.Extent) error {
		used = append(used, e)
		return nil
	})
	return used, err
}

// in returns the runs of used bytes in z.
func (u inUse) in(z zone) []disk.Extent {
	whole := disk.Extent{Offset: z.start, Size: z.length}
	if u == nil {
		return []disk.Extent{whole}
	}
	var runs []disk.Extent
	first := sort.Search(len(u), func(i int) bool { return u[i].End() > z.start })
	for _, e := range u[first:] {
		if e.Offset >= whole.End() {
			break
		}
		start, end := max(e.Offset, whole.Offset), min(e.End(), whole.End())
		runs = append(runs, disk.Extent{Offset: start, Size: end - start})
	}
	return runs
}

// endBelow returns where the last used run below logical byte end ends.
func (u inUse) endBelow(end disk.Bytes) disk.Bytes {
	i := sort.Search(len(u), func(i int) bool { return u[i].Offset >= end })
	if u == nil || i == 0 {
		return 0
	}
	return min(u[i-1].End(), end)
}

// startFrom returns where the first used run at or behind logical byte start begins,
// size where there is none.
func (u inUse) startFrom(start, size disk.Bytes) disk.Bytes {
	i := sort.Search(len(u), func(i int) bool { return u[i].End() > start })
	if i == len(u) {
		return size
	}
	return max(u[i].Offset, start)
}

// free returns the runs of [0, size) that are not in use.
func (u inUse) free(size disk.Bytes) (runs []disk.Extent) {
	at := disk.Bytes(0)
	for _, e := range append(u[:len(u):len(u)], disk.Extent{Offset: size}) {
		if e.Offset > at {
			runs = append(runs, disk.Extent{Offset: at, Size: e.Offset - at})
		}
		at = e.End()
	}
	return runs
}
