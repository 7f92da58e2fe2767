package planner

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// place is one way in which a conversion can have its header.
type place struct {
	room   plan.Room
	front  disk.Bytes // what it takes of the free space before the partition
	size   disk.Bytes // what the partition must have at least for it, 0 for as it is
	header string     // path of the file that takes it
}

// place returns where p's header goes, the zero place where p is not converted.
func (p *part) place() place {
	if p.choice >= len(p.places) || p.old == nil || p.foreign() {
		return place{}
	}
	return p.places[p.choice]
}

// findPlaces finds the places for the headers of all conversions, as if each were
// the only thing to be done. What has none is given up at once, where its priority
// allows that.
func (l *layout) findPlaces() {
	found := false
	for _, p := range l.parts {
		if p.work == workConvert && p.refusal == nil {
			p.places, p.choice = l.placesFor(p), 0
			found = found || p.place().front > 0
			if len(p.places) == 0 && p.def.Partition.Priority > 0 {
				l.dropSet(p)
			}
		}
	}
	if found {
		l.findAreas() // less is free now
	}
}

// placesFor lists the places that p's definition allows and that are there, in the
// order of header_room. Room that is there already behind a file system is as good
// as what growing or shrinking would make, and is taken too where none is named or
// left; it comes before a header in a file only where one of them does.
func (l *layout) placesFor(p *part) []place {
	var places []place
	for _, room := range p.def.Encryption.HeaderRoom {
		if place, ok := l.placeFor(p, room); ok {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		if _, shrinks := shrinkTarget(p.old.Content, headerSize(p.def.Encryption), p.old.Size); !shrinks {
			places = append(places, place{room: plan.RoomBehind})
		}
	}
	return places
}

// placeFor reports whether there is room of the named kind.
func (l *layout) placeFor(p *part, room string) (place, bool) {
	c, shift := p.old.Content, headerSize(p.def.Encryption)
	to, shrinks := shrinkTarget(c, shift, p.old.Size)
	behind := place{room: plan.RoomBehind}
	switch room {
	case definitions.RoomGap:
		return place{room: plan.RoomGap, front: shift}, l.gapBefore(p) >= shift
	case definitions.RoomGrow:
		if shrinks {
			behind.size = neededForHeader(c, shift)
		}
		return behind, behind.size <= max(p.old.Size, l.reach(p))
	case definitions.RoomShrink:
		return behind, !shrinks || canShrink(c, to, shift)
	}
	path := p.def.Encryption.DetachedHeader()
	return place{room: plan.RoomDetached, header: path}, path != ""
}

// gapBefore returns how much of the usable space directly before p belongs to no
// partition, be it one that goes: the header is written before the table is.
func (l *layout) gapBefore(p *part) disk.Bytes {
	if l.table.Kind != disk.GPT {
		return 0
	}
	start := l.table.FirstUsable.Offset(l.snap.SectorSize)
	for _, other := range l.snap.Partitions {
		if other.Offset < p.old.Offset {
			start = max(start, other.End())
		}
	}
	for _, o := range l.occupied() {
		if o.Offset < p.old.Offset {
			start = max(start, o.End())
		}
	}
	return max(0, p.old.Offset-start)
}

// relaxHeaderRooms lets conversions have their headers elsewhere that would rather
// have them in free space, where the disk is too full for that. It reports whether
// that changed anything.
func (l *layout) relaxHeaderRooms() bool {
	changed := false
	for _, p := range l.parts {
		place := p.place()
		if (place.front > 0 || place.size > 0) && p.choice+1 < len(p.places) {
			p.choice++
			changed = true
		}
	}
	if changed {
		l.findAreas()
	}
	return changed
}

// conversionBlock is the unit that the data of a conversion is counted in.
const conversionBlock = 4096

// neededForHeader returns the smallest size of a partition that is converted
// without shrinking its file system.
func neededForHeader(c disk.Content, shift disk.Bytes) disk.Bytes {
	return dataSize(c, shift) + 2*shift
}

// dataSize returns how much of a partition is converted where data moves: its file
// system, but at least as much as moves out of the header's way.
func dataSize(c disk.Content, shift disk.Bytes) disk.Bytes {
	return max(c.Size.RoundUp(conversionBlock), shift)
}

// shrinkTarget reports whether a file system must shrink so that a partition of the
// given size has room for the header, and to what size: 0 where the header alone
// takes all there is.
func shrinkTarget(c disk.Content, shift, size disk.Bytes) (to disk.Bytes, shrinks bool) {
	room := size.RoundDown(conversionBlock) - 2*shift
	if dataSize(c, shift) <= room {
		return 0, false
	}
	return max(0, room).RoundDown(max(c.BlockSize, conversionBlock)), true
}

// canShrink reports whether the file system has what it takes: a kind and features that shrink,
// and free space for the missing part and an eighth more for its own metadata. Apply tries it
// before it writes anything.
func canShrink(c disk.Content, to, shift disk.Bytes) bool {
	switch c.Kind {
	case "ext2", "ext3", "ext4":
	case "btrfs":
		if to < minBtrfs {
			return false
		}
	default:
		return false
	}
	return to >= shift && c.Rigid == "" && c.Free > (c.Size-to)+(c.Size-to)/8
}

// minBtrfs is the least size that the kernel lets a btrfs shrink to.
const minBtrfs = 256 * disk.MiB
