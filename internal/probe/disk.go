package probe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// Disk says what is on dev: its table, and the content of each partition. A
// sectorSize of 0 is that of the device, or for an image file that of the table
// found, 512 without one.
//
// A GPT of which no copy can be used makes the disk Bare, with the damage as its
// content's Problem: there is data, and nothing but force may overwrite it. Disk
// fails where dev cannot be read, or has sectors that no GPT can be for.
func Disk(dev blockdev.Device, sectorSize disk.Bytes) (disk.Snapshot, error) {
	return look(dev, sectorSize, new(image).occupied)
}

// Partitions is Disk but for free space, of which tens of megabytes may be to be read: the
// snapshot of a disk that has any is FreeUnread.
func Partitions(dev blockdev.Device, sectorSize disk.Bytes) (disk.Snapshot, error) {
	snapshot, err := look(dev, sectorSize, func(blockdev.Device, *gpt.State) ([]disk.Occupied, error) { return nil, nil })
	snapshot.FreeUnread = err == nil && snapshot.Table.Kind == disk.GPT && snapshot.Member == nil
	return snapshot, err
}

// look is Disk with a way to see what lies in free space.
func look(dev blockdev.Device, sectorSize disk.Bytes, occupied func(blockdev.Device, *gpt.State) ([]disk.Occupied, error)) (disk.Snapshot, error) {
	if sectorSize == 0 {
		sectorSize = dev.SectorSize()
	}
	state, err := gpt.Read(dev, dev.Size(), sectorSize)
	snapshot := disk.Snapshot{Path: dev.Name(), Size: dev.Size(), SectorSize: sectorSize}
	if sectorSize == 0 {
		snapshot.SectorSize = 512
	}
	switch {
	case err == nil && state.Begun(): // it counts as blank, as it was for the run that was cut off
	case err == nil:
		snapshot.SectorSize, snapshot.Table, snapshot.Warnings = state.SectorSize, state.Table, state.Warnings
		snapshot.Unwritable = state.Unwritable()
		if err = addPartitions(&snapshot, dev, state.Entries); err == nil && snapshot.Member == nil {
			snapshot.Occupied, err = occupied(dev, state)
		}
	case errors.Is(err, gpt.ErrMBR):
		err = addMBR(&snapshot, dev)
	case errors.Is(err, gpt.ErrNone):
		err = addBare(&snapshot, dev, nil)
	case errors.Is(err, gpt.ErrDamaged), errors.Is(err, gpt.ErrUnsupported):
		err = addBare(&snapshot, dev, err)
	}
	if err != nil {
		return disk.Snapshot{}, fmt.Errorf("%s: %w", dev.Name(), err)
	}
	return snapshot, nil
}

// addPartitions looks at the disk as a whole, and into each partition. One that is not on
// the disk has that as its Problem: the disk may have been cut, and the others are still
// to be seen.
func addPartitions(s *disk.Snapshot, dev blockdev.Device, entries []disk.Entry) (err error) {
	var m image // one for all: a table may have hundreds of partitions
	if s.Member, err = m.member(dev, dev.Size(), entries); err != nil {
		return err
	}
	for _, e := range entries {
		p := disk.Partition{Entry: e}
		section, err := blockdev.NewSection(dev, e.Extent)
		if err != nil {
			p.Content.Problem = fmt.Sprintf("bytes %d to %d are not on the disk", e.Offset, e.End())
		} else if p.Content, err = m.look(section, section.Size()); err != nil {
			return fmt.Errorf("partition %d: %w", e.Number, err)
		}
		s.Partitions = append(s.Partitions, p)
	}
	return nil
}

// addMBR adds the primary partitions of an MBR.
func addMBR(s *disk.Snapshot, dev blockdev.Device) error {
	entries, err := gpt.ReadMBR(dev, s.SectorSize)
	if err != nil {
		return err
	}
	s.Table.Kind = disk.MBR
	return addPartitions(s, dev, entries)
}

// addBare looks at the disk as a whole, which has no table, or one that cannot be used. It
// is empty only where nothing is known to be on it and it reads as nothing: what nobody
// knows may be encrypted as a whole.
func addBare(s *disk.Snapshot, dev blockdev.Device, unusable error) error {
	var m image
	content, err := m.look(dev, dev.Size())
	if err == nil && content.Kind == "" && unusable == nil {
		content, err = m.unknown(dev)
	}
	if err != nil {
		return err
	}
	if unusable != nil {
		addUnusable(&content, unusable)
	}
	if s.Content = content; content.Kind != "" || content.Problem != "" {
		s.Table.Kind = disk.Bare
	}
	return nil
}

// addUnusable says of a disk what is wrong with its GPT.
func addUnusable(c *disk.Content, err error) {
	if c.Kind == "" {
		c.Kind = "gpt"
	}
	if c.Kind != "gpt" && !slices.Contains(c.Ambiguous, "gpt") {
		c.Ambiguous = append(c.Ambiguous, "gpt")
	}
	c.Problem = text([]byte(err.Error()))
	if hinted := interface{ Hint() string }(nil); errors.As(err, &hinted) {
		c.Remedy = hinted.Hint()
	}
}
