package plan

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Check reports whether p is a plan that may be applied to the disk of the snapshot:
// whatever made it, it must not harm what it has no business with. It returns the
// first law that is broken. Whether the snapshot is still that of the plan is for
// the fingerprint to say.
func Check(p *Plan, snap disk.Snapshot) error {
	laws := []func(*Plan, disk.Snapshot) error{
		checkTarget, checkTable, checkPresent, checkRows, checkIdentities, checkOverlaps, checkOccupied, checkActions,
	}
	for _, law := range laws {
		if err := law(p, snap); err != nil {
			return fmt.Errorf("invalid plan: %w", err)
		}
	}
	return nil
}

// checkTarget: a plan names the disk it is for, and no disk gets smaller.
func checkTarget(p *Plan, snap disk.Snapshot) error {
	t := p.Target
	switch {
	case p.Version != Version:
		return fmt.Errorf("it has version %d, and this program reads %d", p.Version, Version)
	case t.Fingerprint == "":
		return errors.New("it names no state of the disk")
	case t.SectorSize != snap.SectorSize || t.SectorSize < 512 || !PowerOfTwo(t.SectorSize):
		return fmt.Errorf("it is for sectors of %d bytes, the disk has %d", t.SectorSize, snap.SectorSize)
	case t.Size < snap.Size || t.Size > MaxDisk:
		return fmt.Errorf("it is for a disk of %d bytes, the disk has %d", t.Size, snap.Size)
	}
	return nil
}

// checkTable: the table ends before the backup GPT, and one that stays only
// grows at its end.
func checkTable(p *Plan, snap disk.Snapshot) error {
	t, old := p.Table, snap.Table
	if t == old && (p.Empty() || (t.Kind == disk.MBR && !p.NewTable)) {
		return nil
	}
	last := LastUsable(p.Target.Size, p.Target.SectorSize, t.Slots)
	switch {
	case t.Kind != disk.GPT || t.GUID == uuid.Nil || t.Slots < 1 || t.Slots > MaxSlots:
		return errors.New("the table is not a GPT, or has no GUID or an impossible number of slots")
	case t.FirstUsable < 2 || t.LastUsable < t.FirstUsable || t.LastUsable > max(last, old.LastUsable) || t.LastUsable.Offset(p.Target.SectorSize) >= p.Target.Size:
		return fmt.Errorf("the usable sectors %d to %d do not fit the disk", t.FirstUsable, t.LastUsable)
	case !p.NewTable && (t.GUID != old.GUID || t.FirstUsable != old.FirstUsable || t.Slots != old.Slots || t.LastUsable < old.LastUsable):
		return errors.New("the table that is there would change beyond its end")
	}
	return nil
}

// checkPresent: every partition that is there has exactly one row, and a plan
// that replaces the table says so about each.
func checkPresent(p *Plan, snap disk.Snapshot) error {
	present := make(map[int]disk.Entry, len(snap.Partitions))
	for _, old := range snap.Partitions {
		present[old.Number] = old.Entry
	}
	for _, r := range p.Rows {
		if r.Old == nil {
			continue
		}
		if entry, ok := present[r.Old.Number]; !ok || entry != *r.Old {
			return fmt.Errorf("partition %d is not there as it says, or has two rows", r.Old.Number)
		}
		if p.NewTable && r.Activity != ActivityDelete {
			return fmt.Errorf("partition %d cannot stay in a new table", r.Old.Number)
		}
		delete(present, r.Old.Number)
	}
	for number := range present {
		return fmt.Errorf("partition %d has no row", number)
	}
	return nil
}

// checkRows: what a row's activity allows is all that happens to it.
func checkRows(p *Plan, _ disk.Snapshot) error {
	usable := UsableExtent(p.Table, p.Target.SectorSize, p.Target.SectorSize)
	fronts, converted := conversions(p)
	for _, r := range p.Rows {
		var err error
		switch r.Activity {
		case ActivityCreate:
			err = checkNew(r, usable)
		case ActivityDelete:
			if r.Old == nil || r.Entry != *r.Old {
				err = errors.New("goes, but was not there like that")
			} else if !p.NewTable && r.Definition == "" {
				err = errors.New("is foreign and must not go")
			}
		case ActivityUnchanged, ActivityResize:
			err = checkKept(r, usable, fronts[r.Number], converted[r.Number])
			if err == nil && p.Table.Kind == disk.MBR && r.Entry != *r.Old {
				err = errors.New("would change its entry in an MBR")
			}
		default:
			err = fmt.Errorf("has the unknown activity %q", r.Activity)
		}
		if err != nil {
			return fmt.Errorf("partition %d %w", r.Number, err)
		}
	}
	return nil
}

// checkNew: a new partition lies in usable space, aligned.
func checkNew(r Row, usable disk.Extent) error {
	switch {
	case r.Old != nil || r.Definition == "":
		return errors.New("is new, but was there before or is in no definition")
	case r.Offset%MinGrain != 0 || r.Size%MinGrain != 0:
		return errors.New("is not aligned to 4096 bytes")
	case r.Size <= 0 || r.Offset < 0 || r.Size > MaxDisk || r.Offset > MaxDisk || !usable.Contains(r.Extent):
		return errors.New("lies outside the usable space")
	case CheckName(r.Name) != nil:
		return CheckName(r.Name)
	}
	return nil
}

// conversions returns the partitions whose conversions are begun, and how far those
// of them begin earlier that take the free space before them for their header.
func conversions(p *Plan) (fronts map[int]disk.Bytes, converted map[int]bool) {
	fronts, converted = make(map[int]disk.Bytes), make(map[int]bool)
	for _, a := range p.Actions {
		r, ok := a.(Reencrypt)
		if !ok || r.Resume || r.Mode != ModeEncrypt {
			continue
		}
		converted[r.Number] = true
		if r.Room == RoomGap {
			fronts[r.Number] = r.Shift
		}
	}
	return fronts, converted
}

// checkKept: a partition that stays never moves, shrinks, or changes its number,
// type, attributes, UUID or name, and a foreign one does not change at all. One that
// is converted may be told to grow its file system, and may begin earlier by front,
// the room for its header: its bytes stay where they are.
func checkKept(r Row, usable disk.Extent, front disk.Bytes, converted bool) error {
	old := r.Old
	switch {
	case old == nil:
		return errors.New("stays, but was not there")
	case r.Definition == "" && r.Entry != *old:
		return errors.New("is foreign and would change")
	case r.Number != old.Number || r.Type != old.Type || r.Offset != old.Offset-front || front < 0,
		r.Attributes != old.Attributes && (!converted || r.Attributes != old.Attributes|disk.AttributeGrowFileSystem):
		return errors.New("would be moved, or change its number, type or attributes")
	case (r.UUID != old.UUID && old.UUID != uuid.Nil) || r.UUIDDerived:
		return errors.New("would change its UUID")
	case r.Name != old.Name && old.Name != "":
		return errors.New("would change its name")
	case r.Size-front < old.Size || (r.Extent == old.Extent) != (r.Activity == ActivityUnchanged):
		return errors.New("would shrink, or has the wrong activity")
	case r.Extent != old.Extent && (r.Size > MaxDisk || !usable.Contains(r.Extent)):
		return errors.New("would grow out of the usable space")
	case r.Name != old.Name && CheckName(r.Name) != nil:
		return CheckName(r.Name)
	}
	return nil
}

// checkIdentities: numbers and UUIDs are unique. A new partition may have the nil
// UUID, where its definition asks for "null"; one that comes from the root hash is
// not known yet.
func checkIdentities(p *Plan, _ disk.Snapshot) error {
	numbers, uuids := make(map[int]bool), make(map[uuid.UUID]bool)
	slots := p.Table.Slots
	if p.Table.Kind == disk.MBR {
		slots = MBRSlots
	}
	for _, r := range p.Rows {
		if r.Activity == ActivityDelete {
			continue
		}
		if r.Number < 1 || r.Number > slots || numbers[r.Number] {
			return fmt.Errorf("partition number %d is out of range or stands twice", r.Number)
		}
		numbers[r.Number] = true
		if r.UUIDDerived && r.UUID != uuid.Nil {
			return fmt.Errorf("partition %d has a UUID before its root hash is known", r.Number)
		}
		// What is there twice already is not for us to judge.
		if r.Old == nil && uuids[r.UUID] && r.UUID != uuid.Nil {
			return fmt.Errorf("partition %d has the UUID %s of another", r.Number, r.UUID)
		}
		uuids[r.UUID] = true
	}
	return nil
}

// checkOverlaps: no byte belongs to two partitions. As new partitions do not
// overlap those that stay, what is prepared lies in unallocated space, or in that
// of partitions whose definitions, or --empty=force, give it away.
func checkOverlaps(p *Plan, _ disk.Snapshot) error {
	rows := slices.DeleteFunc(slices.Clone(p.Rows), func(r Row) bool { return r.Activity == ActivityDelete })
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(rows); i++ {
		if rows[i-1].Overlaps(rows[i].Extent) {
			return fmt.Errorf("partitions %d and %d overlap", rows[i-1].Number, rows[i].Number)
		}
	}
	return nil
}

// checkOccupied: where something lies in free space, nothing is put, unless the plan gives that
// up or replaces the table.
func checkOccupied(p *Plan, snap disk.Snapshot) error {
	if p.TakesFree() && snap.FreeUnread {
		return errors.New("it takes free space in which nobody looked whether anything lies")
	}
	if p.NewTable || p.Leftovers == LeftoversDiscard {
		return nil
	}
	for _, r := range p.Rows {
		for _, o := range snap.Occupied {
			if r.Activity != ActivityDelete && r.Overlaps(o.Extent) && (r.Old == nil || !r.Old.Overlaps(o.Extent)) {
				return fmt.Errorf("partition %d would take %d bytes at %d, where something lies", r.Number, o.Size, o.Offset)
			}
		}
	}
	return nil
}

// CheckSalt reads the salt of a hash tree, at most 256 bytes in hex.
func CheckSalt(salt string) error {
	text, err := hex.DecodeString(salt)
	if err != nil || len(text) > 256 {
		return fmt.Errorf("the salt %q is not up to 256 bytes in hex", salt)
	}
	return nil
}
