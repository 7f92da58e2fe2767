package executor

import (
	"context"

	"github.com/sealpart/sealpart/internal/disk"
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

func (s *shift) bufferSize() disk.Bytes { return disk.Bytes(s.state.Shift) }

// next returns the zone that ends where the old data ends.
func (s *shift) next(remaining disk.Bytes) zone { return zoneBelow(remaining, s.bufferSize()) }

// load reads z at its old place, or where its bytes were moved to, and encrypts it.
func (s *shift) load(ctx context.Context, z zone, buf []byte) error {
	source := disk.Bytes(0)
	if z.start == 0 {
		source = disk.Bytes(s.state.Moved.Offset)
	}
	for _, e := range s.c.used.in(z) {
		err := s.c.pipeline.load(ctx, z.part(buf, e), s.c.part, source+e.Offset, func(p []byte, at disk.Bytes) {
			s.recode.recode(p, e.Offset+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skip goes down to the last used byte, but not into the first bytes, which have
// their own zone.
func (s *shift) skip(remaining disk.Bytes) disk.Bytes {
	return max(remaining-max(s.c.used.endBelow(remaining), s.bufferSize()), 0)
}

// keep has nothing to do: until the next zone is hot nothing overwrites the source
// of this one.
func (s *shift) keep(context.Context, zone, []byte, bool) error { return nil }

// redo does the zone again from its source.
func (s *shift) redo(ctx context.Context, z zone, buf []byte) error {
	if err := s.c.load(ctx, z, buf); err != nil {
		return err
	}
	return s.c.store(ctx, z, buf)
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
