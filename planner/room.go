package planner

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
)

// headerRoom returns how large an existing partition must be for its conversion,
// 0 where it need not grow for it: nothing is to be converted, there is room
// behind the file system already, or the file system shrinks instead.
func headerRoom(p *part) disk.Bytes {
	if !converts(p) {
		return 0
	}
	to, shrinks := shrinkTarget(p.old.Content, p.old.Size)
	if !shrinks {
		return 0
	}
	for _, room := range p.def.Encryption.HeaderRoom {
		switch {
		case room == definitions.RoomGrow && !p.relaxed:
			return neededForHeader(p.old.Content)
		case room == definitions.RoomShrink && canShrink(p.old.Content, to):
			return 0
		}
	}
	return 0 // there is no room; planReencrypt says so
}

// converts tells whether p holds a plain file system that its definition wants
// encrypted in place.
func converts(p *part) bool {
	return p.old != nil && !p.foreign() && wantsConversion(*p.def, p.old.Content) &&
		checkConvertible(*p.def, *p.old) == nil
}

// relaxHeaderRooms lets file systems shrink that would rather have their
// partitions grow, where the disk is too full for that. It tells whether that
// changed anything.
func (l *layout) relaxHeaderRooms() bool {
	changed := false
	for _, p := range l.parts {
		if p.relaxed || !converts(p) || !slices.Contains(p.def.Encryption.HeaderRoom, definitions.RoomShrink) {
			continue
		}
		before := headerRoom(p)
		p.relaxed = true
		changed = changed || headerRoom(p) != before
	}
	return changed
}
