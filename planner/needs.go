package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// needs is what a partition asks for, in bytes and in shares of what is left.
type needs struct {
	min, max       disk.Bytes // of the partition
	padMin, padMax disk.Bytes // of the free space behind it
	weight         uint64
	padWeight      uint64
}

const (
	// defaultSizeMin is the minimum of a definition that names none.
	defaultSizeMin = 10 * disk.MiB
	// hardMin is what any new partition takes at least.
	hardMin disk.Bytes = 4096
	// parsedGrain is what the sizes of a definition are rounded to, minima down
	// and maxima up, before the grain of the disk counts.
	parsedGrain disk.Bytes = 4096
	// signatureSize is the size of a partition for the signature of a root hash.
	signatureSize = 16 * disk.KiB
	// verityTree is blkid's name for the superblock of a hash tree.
	verityTree = "DM_verity_hash"
)

// minimalFormats says how small a file system may be made: what its mkfs accepts
// and what can still be used. Others get one grain.
var minimalFormats = map[string]disk.Bytes{
	"ext4":  32 * disk.MiB,
	"btrfs": 256 * disk.MiB,
	"xfs":   300 * disk.MiB,
	"vfat":  64 * disk.KiB, // mkfs.vfat refuses less
	"swap":  40 * disk.KiB, // ten pages: what mkswap asks for
}

// settleNeeds works out what every part asks for, as things stand.
func (l *layout) settleNeeds() {
	for _, p := range l.parts {
		p.needs = l.needsOf(p)
	}
	for _, s := range l.parts {
		if s.merged {
			s.target.needs = l.mergeNeeds(s.target, s)
		}
	}
}

// needsOf returns what p asks for by itself.
func (l *layout) needsOf(p *part) needs {
	if p.def == nil || p.dropped || (p.old != nil && p.inConversion()) {
		return fixedNeeds(p)
	}
	d := p.def.Partition
	sizeMin, sizeMax := sizesOf(p)
	n := needs{
		min:       max(sizeMin.RoundDown(parsedGrain), 1).RoundUp(l.grain),
		padMin:    orElse(d.PaddingMin, 0).RoundDown(parsedGrain),
		padMax:    orElse(d.PaddingMax, unlimited).RoundUp(parsedGrain),
		weight:    uint64(d.Weight),
		padWeight: uint64(d.PaddingWeight),
	}
	n.min = max(n.min, l.minimum(p))
	n.max = max(sizeMax.RoundUp(parsedGrain).RoundDown(l.grain), n.min)
	return n
}

// sizesOf returns the size_min and size_max that count for p. What has a size of its
// own has it whether it is there already or not: another size in the next run would
// refuse the partition, or grow it for nothing.
func sizesOf(p *part) (lo, hi disk.Bytes) {
	d := p.def.Partition
	lo, hi = orElse(d.SizeMin, sizeMinOf(p)), orElse(d.SizeMax, unlimited)
	switch {
	case strings.HasSuffix(d.Type.Designator(), "-verity-sig") && p.old != nil:
		return 1, signatureSize
	case strings.HasSuffix(d.Type.Designator(), "-verity-sig"):
		return signatureSize, signatureSize
	case p.hasTree():
		return lo, lo // no more than it has; see minimum
	}
	return lo, hi
}

// hasTree reports whether p is there and holds a hash tree, which never becomes larger.
func (p *part) hasTree() bool {
	return p.old != nil && (isVerityHash(p.def) || p.old.Content.Kind == verityTree)
}

// fixedNeeds returns what p asks for that must stay as large as it is: because it
// is foreign, or because the rest of a conversion is found from its end.
func fixedNeeds(p *part) needs {
	if p.old == nil {
		return needs{}
	}
	return needs{min: p.old.Size, max: p.old.Size, padMax: unlimited}
}

// minimum is the one place that says how small the partition of a definition may
// be, beside its own size_min: by what it holds now, or by what it will hold.
func (l *layout) minimum(p *part) disk.Bytes {
	if p.old != nil {
		return max(p.base().Size, p.place().size)
	}
	return max(hardMin, p.content, p.tree.RoundUp(l.grain))
}

// measureContents finds out how much the content of every new partition takes.
func (l *layout) measureContents() error {
	for _, p := range l.parts {
		if p.def == nil || p.old != nil {
			continue
		}
		size, err := l.contentSize(p.def)
		if err != nil {
			return err
		}
		p.content = size
	}
	return nil
}

// contentSize returns what the file system or the copied blocks of a new
// partition take, with their encryption.
func (l *layout) contentSize(d *definitions.Definition) (disk.Bytes, error) {
	var size disk.Bytes
	if d.Encryption != nil {
		// The header, and as much again, which lets it be encrypted anew in place.
		size = (2 * headerSize(d.Encryption)).RoundUp(l.grain)
	}
	if source := d.Filesystem.CopyBlocks; source != "" {
		n, ok := l.opts.SourceSizes[source]
		if !ok || n < 0 {
			return 0, fmt.Errorf("%s.toml: the size of %s, the source of copy_blocks, is unknown", d.Name, source)
		}
		return plus(size, n.RoundUp(l.grain)), nil
	}
	if format := formatOf(d); format != "" {
		room := min(l.opts.FileRoom[d.Name], orElse(d.Partition.SizeMax, unlimited)-size) // who says a size_max has it
		size = plus(size, max(l.minimalFormat(d.Partition.Type, format), room.RoundUp(l.grain)))
	}
	return size, nil
}

// minimalFormat returns how small a partition of the type with a file system may
// be. An ESP must be FAT32, which needs 65525 clusters of at least a sector.
func (l *layout) minimalFormat(t disk.Type, format string) disk.Bytes {
	size, ok := minimalFormats[format]
	if format == "vfat" && isBoot(t) {
		size, ok = 100*disk.MiB, true
		if max(l.opts.FilesystemSectorSize, l.snap.SectorSize) >= 4096 {
			size = 260 * disk.MiB
		}
	}
	if !ok {
		return l.grain
	}
	return size.RoundUp(l.grain)
}

// sizeMinOf returns the size_min of a partition whose definition has none: the usual
// one, or none at all for what is there already or has a size of its own.
func sizeMinOf(p *part) disk.Bytes {
	if p.old != nil || p.def.Verity != nil || slices.Contains([]string{"squashfs", "erofs"}, p.def.Filesystem.Format) {
		return 1
	}
	return defaultSizeMin
}

// footprint returns how much p takes at least with the free space behind it, up
// to the next multiple of the grain. It saturates.
func (l *layout) footprint(p *part) disk.Bytes {
	size := plus(p.needs.min, p.needs.padMin)
	if p.old == nil {
		return size.RoundUp(l.grain)
	}
	start := p.base().Offset
	return plus(start, size).RoundUp(l.grain) - start
}
