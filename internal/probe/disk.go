package probe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
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
	if sectorSize == 0 {
		sectorSize = dev.SectorSize()
	}
	state, err := gpt.Read(dev, dev.Size(), sectorSize)
	snapshot := disk.Snapshot{Path: dev.Name(), Size: dev.Size(), SectorSize: sectorSize}
	if sectorSize == 0 {
		snapshot.SectorSize = 512
	}
	switch {
	case err == nil:
		snapshot.SectorSize, snapshot.Table, snapshot.Warnings = state.SectorSize, state.Table, state.Warnings
		snapshot.Unwritable = state.Unwritable()
		err = addPartitions(&snapshot, dev, state.Entries)
	case errors.Is(err, gpt.ErrMBR):
		err = addMBR(&snapshot, dev)
	case errors.Is(err, gpt.ErrNone):
		err = addBare(&snapshot, dev, nil)
	case errors.Is(err, gpt.ErrDamaged):
		err = addBare(&snapshot, dev, err)
	}
	if err != nil {
		return disk.Snapshot{}, fmt.Errorf("%s: %w", dev.Name(), err)
	}
	return snapshot, nil
}

// addPartitions looks into each partition. One that is not on the disk has that as
// its Problem: the disk may have been cut, and the others are still to be seen.
func addPartitions(s *disk.Snapshot, dev blockdev.Device, entries []disk.Entry) error {
	var m image // one for all: a table may have hundreds of partitions
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

// addBare looks at the disk as a whole, which has no table, or a damaged one.
func addBare(s *disk.Snapshot, dev blockdev.Device, damage error) error {
	content, err := Content(dev, dev.Size())
	if err != nil {
		return err
	}
	if damage != nil {
		if content.Kind == "" {
			content.Kind = "gpt"
		}
		if content.Kind != "gpt" && !slices.Contains(content.Ambiguous, "gpt") {
			content.Ambiguous = append(content.Ambiguous, "gpt")
		}
		content.Problem = text([]byte(damage.Error()))
	}
	if s.Content = content; content.Kind != "" {
		s.Table.Kind = disk.Bare
	}
	return nil
}
