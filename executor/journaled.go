package executor

import (
	"context"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
)

// journaled keeps the hot zone's old bytes. They must not be overwritten while their
// zone is hot, for they would be written back. So the zone is committed as done first,
// which makes six flushes: its data, the header copies, the journal of the next zone,
// the header copies. All of a hot zone is redone, so it may be torn anywhere.
type journaled struct{ inPlace }

// release has nothing to give back.
func (w *journaled) release() {}

// ahead lets the disk begin to read.
func (w *journaled) ahead(_ context.Context, z zone) error {
	for _, e := range w.c.used.in(z) {
		blockdev.WillNeed(w.c.part, disk.Extent{Offset: w.offset() + e.Offset, Size: e.Size})
	}
	return nil
}

// keep writes the journal of z. A power cut leaves any part of it, and no header that
// refers to it.
func (w *journaled) keep(ctx context.Context, z zone, hot bool) error {
	if hot {
		if err := w.c.header.Commit(w.c.home); err != nil {
			return fmt.Errorf("commit the zone before %d as done: %w", z.start, err)
		}
	}
	at, err := w.c.header.JournalFor(int64(z.start), int64(z.length))
	if err != nil {
		return err
	}
	for _, e := range w.c.used.in(z) {
		from, to := place{w.c.part, w.offset() + e.Offset}, place{w.c.home, disk.Bytes(at) + e.Offset - z.start}
		if err := w.c.pipeline.move(ctx, from, to, e.Size, func(dst, src []byte, _ disk.Bytes) { copy(dst, src) }); err != nil {
			return fmt.Errorf("save the zone at %d: %w", z.start, err)
		}
	}
	return w.c.home.Sync()
}

// write makes the hot zone new.
func (w *journaled) write(ctx context.Context, z zone) error {
	for _, e := range w.c.used.in(z) {
		here := place{w.c.part, w.offset() + e.Offset}
		err := w.c.pipeline.move(ctx, here, here, e.Size, func(dst, src []byte, at disk.Bytes) {
			w.recode.recodeOnDisk(dst, src, e.Offset+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leaves names the journal: it holds old data of the last hot zone.
func (w *journaled) leaves() (disk.Bytes, disk.Extent) {
	return 0, disk.Extent{Offset: disk.Bytes(w.state.AreaOffset), Size: disk.Bytes(w.state.AreaSize)}
}
