package executor

import (
	"context"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/luks2"
)

// shift is cryptsetup's data-shift form. With D the partition's size and S the
// shift, the plain file system's first S bytes are moved to [D-S, D), the header
// takes [0, S), and every hot zone is read at its old place R and written encrypted
// at S+R, from the end downwards: what it overwrites was read before.
type shift struct {
	c      *conversion
	state  *luks2.Reencryption // as the work began: what does not change of it is used
	recode recoder
}

// size is how far the data moves, and the length of the longest zone.
func (s *shift) size() disk.Bytes { return disk.Bytes(s.state.Shift) }

// next returns the zone that ends where the old data ends.
func (s *shift) next(remaining disk.Bytes) zone { return zoneBelow(remaining, s.size()) }

// source returns where the old bytes at e of z lie: at their old place, or where they
// were moved to.
func (s *shift) source(z zone, e disk.Extent) disk.Extent {
	if z.start == 0 {
		e.Offset += disk.Bytes(s.state.Moved.Offset)
	}
	return e
}

// ahead lets the disk begin to read.
func (s *shift) ahead(_ context.Context, z zone) error {
	for _, e := range s.c.used.in(z) {
		blockdev.WillNeed(s.c.part, s.source(z, e))
	}
	return nil
}

// keep has nothing to do: until the next zone is hot nothing overwrites the source
// of this one.
func (s *shift) keep(context.Context, zone, bool) error { return nil }

// write moves z up and encrypts it on the way: where it goes, nothing of it lies.
func (s *shift) write(ctx context.Context, z zone) error {
	for _, e := range s.c.used.in(z) {
		from, to := place{s.c.part, s.source(z, e).Offset}, place{s.c.part, s.size() + e.Offset}
		err := s.c.pipeline.move(ctx, from, to, e.Size, func(dst, src []byte, at disk.Bytes) {
			s.recode.recodeOnDisk(dst, src, e.Offset+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// redo does the zone again from its source.
func (s *shift) redo(ctx context.Context, z zone) error { return s.c.write(ctx, z, zone{}) }

// release has nothing to give back.
func (s *shift) release() {}

// skip goes down to the last used byte, but not into the first bytes, which have
// their own zone.
func (s *shift) skip(remaining disk.Bytes) disk.Bytes {
	return max(remaining-max(s.c.used.endBelow(remaining), s.size()), 0)
}

// end is where the moved first bytes begin.
func (s *shift) end() disk.Bytes { return disk.Bytes(s.state.Moved.Offset) }

// leaves names the plain copy of the first bytes. The volume's segment ends before
// it until it is wiped, so that nobody can grow a file system over it. Where another
// tool began, the copy need not lie at a whole block.
func (s *shift) leaves() (disk.Bytes, disk.Extent) {
	moved := disk.Extent{Offset: disk.Bytes(s.state.Moved.Offset), Size: disk.Bytes(s.state.Shift)}
	return (moved.Offset - moved.Size).RoundDown(disk.Bytes(s.c.header.SectorSize())), moved
}
