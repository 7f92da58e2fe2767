package gpt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// maxName is the room for a name, in UTF-16 code units (UEFI 2.10, table 5-6).
const maxName = 36

// check refuses a table that must not be written. It is the last guard before the
// disk: what it lets through is well-formed, and no two partitions share a byte.
func (s *State) check(l layout, t disk.Table, entries []disk.Entry) error {
	if reason := s.Unwritable(); reason != "" {
		return errors.New(reason)
	}
	if err := s.checkTable(l, t); err != nil {
		return err
	}
	before := map[int]disk.Entry{}
	for _, e := range s.Entries {
		before[e.Number] = e
	}
	seen := map[int]bool{}
	for _, e := range entries {
		if seen[e.Number] {
			return fmt.Errorf("partition %d is there twice", e.Number)
		}
		seen[e.Number] = true
		if err := s.checkEntry(l, t, before[e.Number], e); err != nil {
			return fmt.Errorf("partition %d: %w", e.Number, err)
		}
	}
	if err := checkUUIDs(before, entries); err != nil {
		return err
	}
	return checkOverlaps(entries)
}

// Unwritable says why Writes refuses to write any table to this disk, "" where it
// does not.
func (s *State) Unwritable() string {
	if !s.foreign {
		return ""
	}
	return fmt.Sprintf("the primary partition table is lost, and what lies at sector %d, where it would go, is no partition array; not overwriting it", s.primaryArray)
}

// checkTable refuses header values that do not fit the disk or the table's places.
func (s *State) checkTable(l layout, t disk.Table) error {
	switch {
	case t.Kind != disk.GPT:
		return fmt.Errorf("a table of kind %q is not written, only a GPT", t.Kind)
	case t.Slots != s.base.count:
		return fmt.Errorf("the table has room for %d partitions, which does not change to %d", s.base.count, t.Slots)
	case t.GUID == uuid.Nil && s.base.guid != uuid.Nil:
		return errors.New("the table has no disk GUID")
	case t.FirstUsable < l.primaryArray+l.arraySectors:
		return fmt.Errorf("the first usable sector %d lies in the partition table, which ends before sector %d", t.FirstUsable, l.primaryArray+l.arraySectors)
	case t.LastUsable >= l.backupArray:
		return fmt.Errorf("the last usable sector %d lies in the backup partition table, which starts at sector %d", t.LastUsable, l.backupArray)
	case t.LastUsable < t.FirstUsable:
		return fmt.Errorf("the last usable sector %d lies before the first, %d", t.LastUsable, t.FirstUsable)
	}
	return nil
}

// checkEntry refuses one partition. A partition that lies outside the usable
// sectors may stay there, as long as it does not touch the table.
func (s *State) checkEntry(l layout, t disk.Table, before, e disk.Entry) error {
	switch {
	case e.Number < 1 || e.Number > s.base.count:
		return fmt.Errorf("the table has numbers 1 to %d only", s.base.count)
	case e.Type == uuid.Nil:
		return errors.New("the type is the nil UUID, which marks an unused entry")
	case e.Offset < 0 || e.Size <= 0 || e.Offset > l.size-e.Size:
		return fmt.Errorf("%d bytes at %d are not on the disk (%d bytes)", e.Size, e.Offset, l.size)
	case e.Offset%s.SectorSize != 0 || e.Size%s.SectorSize != 0:
		return fmt.Errorf("%d bytes at %d are not whole sectors of %d bytes", e.Size, e.Offset, s.SectorSize)
	case l.touchesTable(e.Extent):
		return fmt.Errorf("%d bytes at %d lie over the partition table", e.Size, e.Offset)
	case e.Extent != before.Extent && !usable(t, s.SectorSize).Contains(e.Extent):
		return fmt.Errorf("%d bytes at %d lie outside the usable sectors %d to %d", e.Size, e.Offset, t.FirstUsable, t.LastUsable)
	case e.Name != before.Name:
		return checkName(e.Name)
	}
	return nil
}

// checkName refuses a name that would not read back as it is.
func checkName(name string) error {
	switch n := len(utf16.Encode([]rune(name))); {
	case !utf8.ValidString(name):
		return fmt.Errorf("the name %q is not UTF-8", name)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("the name %q contains a NUL", name)
	case n > maxName:
		return fmt.Errorf("the name %q has %d UTF-16 code units, and there is room for %d", name, n, maxName)
	}
	return nil
}

// checkUUIDs refuses two partitions of one UUID. The nil UUID may repeat, and so may
// UUIDs of partitions that had them before: someone copied a partition bit by bit.
func checkUUIDs(before map[int]disk.Entry, entries []disk.Entry) error {
	numbers := map[uuid.UUID]int{}
	for _, e := range entries {
		other, twice := numbers[e.UUID]
		numbers[e.UUID] = e.Number
		if !twice || e.UUID == uuid.Nil || (before[e.Number].UUID == e.UUID && before[other].UUID == e.UUID) {
			continue
		}
		return fmt.Errorf("partitions %d and %d have the same UUID %s", other, e.Number, e.UUID)
	}
	return nil
}

// checkOverlaps refuses partitions that share a byte.
func checkOverlaps(entries []disk.Entry) error {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b disk.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.Overlaps(b.Extent) {
			return fmt.Errorf("partitions %d and %d overlap: %d bytes at %d, %d bytes at %d", a.Number, b.Number, a.Size, a.Offset, b.Size, b.Offset)
		}
	}
	return nil
}
