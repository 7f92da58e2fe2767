package planner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// validate refuses what no plan can be made from: options out of range, and a
// snapshot that contradicts itself. A damaged table is for a human to look at.
func (l *layout) validate() error {
	if l.opts.Seed == uuid.Nil {
		return errors.New("no seed to derive UUIDs from")
	}
	if !plan.PowerOfTwo(l.snap.SectorSize) || l.snap.SectorSize < 512 {
		return fmt.Errorf("sector size %d of %s: must be a power of two from 512 on", l.snap.SectorSize, l.snap.Path)
	}
	if l.opts.GrainSize != 0 && (!plan.PowerOfTwo(l.opts.GrainSize) || l.opts.GrainSize < 512) {
		return fmt.Errorf("grain size %d: must be a power of two from 512 on", l.opts.GrainSize)
	}
	if l.diskSize() > plan.MaxDisk || l.snap.Size < 0 || l.opts.Size < 0 || l.grain > disk.GiB {
		return fmt.Errorf("a disk of %s with a grain of %s is out of range", l.diskSize(), l.grain)
	}
	if l.snap.Table.Kind != disk.GPT {
		return nil
	}
	return l.validateTable()
}

// validateTable checks the GPT that is there.
func (l *layout) validateTable() error {
	last := l.snap.Size.LBA(l.snap.SectorSize)
	t := l.snap.Table
	if t.FirstUsable < 2 || t.FirstUsable > last || t.LastUsable < 0 || t.LastUsable > last || t.Slots < 1 || t.Slots > plan.MaxSlots {
		return fmt.Errorf("the partition table of %s does not fit a disk of %s", l.snap.Path, l.snap.Size)
	}
	return l.validatePartitions(t.Slots)
}

// validatePartitions checks the entries of a table of so many slots.
func (l *layout) validatePartitions(slots int) error {
	sector := l.snap.SectorSize
	byOffset := slices.Clone(l.snap.Partitions)
	slices.SortStableFunc(byOffset, func(a, b disk.Partition) int { return cmp.Compare(a.Offset, b.Offset) })
	numbers := make(map[int]bool, len(byOffset))
	for i, p := range byOffset {
		if p.Offset < 0 || p.Size <= 0 || p.Size > l.snap.Size || p.Offset > l.snap.Size-p.Size ||
			p.Offset%sector != 0 || p.Size%sector != 0 {
			return fmt.Errorf("partition %d of %s lies outside the disk: offset %d, size %d", p.Number, l.snap.Path, p.Offset, p.Size)
		}
		if i > 0 && byOffset[i-1].Overlaps(p.Extent) {
			return fmt.Errorf("partitions %d and %d of %s overlap", byOffset[i-1].Number, p.Number, l.snap.Path)
		}
		if p.Number < 1 || p.Number > slots || numbers[p.Number] {
			return fmt.Errorf("partition number %d of %s is out of range or stands twice", p.Number, l.snap.Path)
		}
		numbers[p.Number] = true
	}
	return nil
}

// validateDefinition refuses sizes that contradict each other. The reader of
// definitions refuses them too, with a line number; this keeps the planner whole
// for definitions from elsewhere.
func validateDefinition(d *definitions.Definition) error {
	p := d.Partition
	ranges := []struct {
		key      string
		min, max *disk.Bytes
	}{{"size", p.SizeMin, p.SizeMax}, {"padding", p.PaddingMin, p.PaddingMax}}
	for _, r := range ranges {
		lo, hi := orElse(r.min, 0), orElse(r.max, unlimited)
		if lo < 0 || hi < 0 || lo > hi {
			return fmt.Errorf("%s.toml: %s_min %d and %s_max %d contradict each other", d.Name, r.key, lo, r.key, hi)
		}
	}
	if p.Type.UUID == uuid.Nil {
		return fmt.Errorf("%s.toml: no partition type", d.Name)
	}
	if p.Weight > maxWeight || p.PaddingWeight > maxWeight {
		return fmt.Errorf("%s.toml: weights go up to %d", d.Name, maxWeight)
	}
	if d.Verity != nil && d.Encryption != nil {
		return fmt.Errorf("%s.toml: a partition of a verity set cannot be encrypted", d.Name)
	}
	return nil
}

// maxWeight is the largest weight and padding_weight.
const maxWeight = 1_000_000

// orElse returns what b points to, or other where it points nowhere.
func orElse(b *disk.Bytes, other disk.Bytes) disk.Bytes {
	if b == nil {
		return other
	}
	return *b
}
