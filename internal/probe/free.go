package probe

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// How much of free space is read. Boards have their boot loaders before the first partition,
// at any place that their first code knows: of that space, all up to a bound. Elsewhere it is
// the ends and where signatures lie, of what was one partition there; and where those begin that
// were several: at whole MiB, all of them up to a number, and else that many all over it.
const (
	readFront = 64 << 20
	readEnds  = 1 << 20
	readMiBs  = 256
)

// occupied returns the space that no partition has and in which something lies. A backup table
// in the middle of a disk that has grown is nothing, and so is what is left of it where another
// program moved it, and what an earlier run of ours claimed and was cut off while it filled it.
func (m *image) occupied(dev blockdev.Device, state *gpt.State) ([]disk.Occupied, error) {
	passed := append(state.Backup(), state.Claims()...)
	var found []disk.Occupied
	for _, e := range FreeAreas(state.Table, state.Entries, state.SectorSize) {
		held, err := m.inFree(dev, state, e, passed)
		if err != nil {
			return nil, fmt.Errorf("looking whether the free space at byte %d is empty: %w", e.Offset, err)
		}
		if held.Found() {
			found = append(found, disk.Occupied{Extent: e, Found: held})
		}
	}
	return found, nil
}

// FreeAreas returns the space of a table between its partitions.
func FreeAreas(table disk.Table, entries []disk.Entry, sector disk.Bytes) (areas []disk.Extent) {
	at, end := table.FirstUsable.Offset(sector), (table.LastUsable + 1).Offset(sector)
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b disk.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, p := range entries {
		if to := min(p.Offset, end); to > at {
			areas = append(areas, disk.Extent{Offset: at, Size: to - at})
		}
		at = max(at, p.End())
	}
	if end > at {
		areas = append(areas, disk.Extent{Offset: at, Size: end - at})
	}
	return areas
}

// inFree looks at the free space e, but for what is passed over and what is left of this table's
// own copies.
func (m *image) inFree(dev blockdev.Device, state *gpt.State, e disk.Extent, passed []disk.Extent) (disk.Trailing, error) {
	if isFront(e, state.Entries) {
		if held := bootLoader(dev, e, passed); held.Found() {
			return held, nil
		}
	}
	for _, part := range disk.Without(LookedAt(e, state.Entries), passed) {
		at, err := blockdev.NonBlank(dev, part)
		if err != nil {
			return disk.Trailing{}, err
		}
		if at < 0 {
			continue
		}
		own, err := state.Remains(dev, at.LBA(state.SectorSize))
		if err != nil {
			return disk.Trailing{}, err
		}
		if own.Size > 0 {
			return m.inFree(dev, state, e, append(passed, own))
		}
		return m.named(dev, e, at)
	}
	return m.signatureIn(dev, e, passed)
}

// isFront reports whether free space e lies before all partitions.
func isFront(e disk.Extent, entries []disk.Entry) bool {
	return !slices.ContainsFunc(entries, func(p disk.Entry) bool { return p.Offset < e.Offset })
}

// LookedAt returns the parts of free space e, beside those partitions, that must be blank for it
// to count as free. Signatures between them count, too.
func LookedAt(e disk.Extent, entries []disk.Entry) []disk.Extent {
	first := disk.Bytes(readEnds)
	if isFront(e, entries) {
		first = readFront
	}
	head := min(e.Size, first)
	tail := min(e.Size-head, readEnds)
	parts := []disk.Extent{{Offset: e.Offset, Size: head}}
	end := e.End() - tail
	step := max(disk.MiB, ((end - e.Offset) / readMiBs).RoundUp(disk.MiB))
	for at := (e.Offset + head).RoundUp(disk.MiB); at < end; at += step {
		parts = append(parts, disk.Extent{Offset: at, Size: min(sampleSize, end-at)})
	}
	return append(parts, disk.Extent{Offset: end, Size: tail})
}

// named says what lies in e, of which at is the first sector that is not blank: what begins
// there, or before it, where partitions begin, and has its signature further on.
func (m *image) named(dev blockdev.Device, e disk.Extent, at disk.Bytes) (disk.Trailing, error) {
	for _, start := range []disk.Bytes{e.Offset, at.RoundDown(disk.MiB), at.RoundDown(sampleSize), at} {
		if start < e.Offset {
			continue
		}
		if kind, err := m.kindFrom(dev, start, e.End()); kind != "" || err != nil {
			return disk.Trailing{Offset: start, Kind: kind}, err
		}
	}
	return disk.Trailing{Offset: at}, nil
}

// kindFrom returns what a signature says of the bytes from at on.
func (m *image) kindFrom(dev blockdev.Device, at, end disk.Bytes) (string, error) {
	section, err := blockdev.NewSection(dev, disk.Extent{Offset: at, Size: end - at})
	if err != nil {
		return "", err
	}
	c, err := m.look(section, section.Size())
	return c.Kind, err
}

// signatureIn looks for signatures between the ends of e, where they lie on a device of that
// size: copies of what a partition was that is gone.
func (m *image) signatureIn(dev blockdev.Device, e disk.Extent, passed []disk.Extent) (disk.Trailing, error) {
	section, err := blockdev.NewSection(dev, e)
	if err != nil {
		return disk.Trailing{}, err
	}
	places, err := Signatures(section, e.Size)
	for _, p := range places {
		p.Offset += e.Offset
		if !slices.ContainsFunc(passed, p.Overlaps) {
			kind, err := m.kindFrom(dev, e.Offset, e.End())
			return disk.Trailing{Offset: p.Offset, Kind: kind}, err
		}
	}
	return disk.Trailing{}, err
}
