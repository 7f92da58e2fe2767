package trailing

import (
	"context"
	"errors"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
)

// Place is a partition whose plain file system is to be converted.
type Place struct {
	disk.Partition            // as it is now
	Grown          disk.Bytes // its size when the table is published
	Shift          disk.Bytes // how far the data moves, 0 where it does not
}

// errFound ends a search.
var errFound = errors.New("found")

// Survey reads what lies between the end of the file system and the end of the partition,
// and returns the first thing there that is not zero. What a conversion that was cut short
// left there, by the mark it made, does not count.
func Survey(ctx context.Context, dev blockdev.Device, p Place) (disk.Trailing, error) {
	part, err := blockdev.NewSection(dev, p.Extent)
	if err != nil {
		return disk.Trailing{}, err
	}
	for _, e := range p.unknown(dev) {
		first, err := firstIn(ctx, part, e)
		if err != nil {
			return disk.Trailing{}, err
		}
		if first >= 0 {
			kind, err := kindAt(part, first)
			return disk.Trailing{Offset: p.Offset + first, Kind: kind}, err
		}
	}
	return disk.Trailing{}, nil
}

// firstIn returns where the first unit of e begins that does not read as zero, -1 where all
// of it does.
func firstIn(ctx context.Context, part blockdev.Device, e disk.Extent) (disk.Bytes, error) {
	first := disk.Bytes(-1)
	err := blockdev.NonZero(ctx, part, e, func(run disk.Extent) error {
		first = run.Offset
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return first, err
}

// unknown returns the parts of p, behind the file system, of which nothing is known.
func (p Place) unknown(dev blockdev.Device) []disk.Extent {
	m, marked := p.find(dev)
	if !marked {
		return between(p.Content.Size, p.Size)
	}
	from, to, scratch := max(p.Content.Size, m.FileSystem), min(p.Size, m.Partition), p.scratch()
	return append(between(from, min(to, scratch.Offset)), between(max(from, scratch.End()), to)...)
}

// between returns the bytes from one place to another, as a list of one extent or none.
func between(from, to disk.Bytes) []disk.Extent {
	if from >= to {
		return nil
	}
	return []disk.Extent{{Offset: from, Size: to - from}}
}

// kindAt returns what a signature says of the bytes of part from at on.
func kindAt(part blockdev.Device, at disk.Bytes) (string, error) {
	rest, err := blockdev.NewSection(part, disk.Extent{Offset: at, Size: part.Size() - at})
	if err != nil {
		return "", err
	}
	content, err := probe.Content(rest, rest.Size())
	return content.Kind, err
}
