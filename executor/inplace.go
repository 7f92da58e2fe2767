package executor

import (
	"context"
	"errors"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
)

// inPlace is what the forms have in common in which no byte moves: a zone is rewritten
// where it lies, from the beginning upwards. What is half written is told from what
// the header's device keeps of the hot zone: its old bytes (journaled) or their
// checksums (checksummed).
type inPlace struct {
	c      *conversion
	state  *luks2.Reencryption // as the work began: what does not change of it is used
	recode recoder
}

// newInPlace returns the way of a conversion.
func newInPlace(c *conversion, state *luks2.Reencryption, recode recoder) (way, error) {
	w := inPlace{c: c, state: state, recode: recode}
	if w.longest() <= 0 {
		return nil, errors.New("the header has no room to keep what is needed of a hot zone")
	}
	if state.Resilience == "journal" {
		return &journaled{w}, nil
	}
	buffers, err := newBuffers(2, w.longest())
	return &checksummed{inPlace: w, buffers: buffers}, err
}

func (w *inPlace) offset() disk.Bytes { return disk.Bytes(w.state.DataOffset) }

// longest is the length of the longest zone.
func (w *inPlace) longest() disk.Bytes {
	limit := min(w.c.maxZone, disk.Bytes(w.state.DataSize).RoundUp(claimBlock))
	return min(limit, disk.Bytes(w.state.MaxZone()))
}

// next returns the zone that begins where the old data begins.
func (w *inPlace) next(remaining disk.Bytes) zone {
	return zone{disk.Bytes(w.state.DataSize) - remaining, min(remaining, w.longest())}
}

// skip goes up to the first used byte. At the end one block is left, for a last hot
// zone to finish with.
func (w *inPlace) skip(remaining disk.Bytes) disk.Bytes {
	size := disk.Bytes(w.state.DataSize)
	at := size - remaining
	return min(w.c.used.startFrom(at, size)-at, max(remaining-claimBlock, 0).RoundDown(claimBlock))
}

// redo makes new what is old of the hot zone, a buffer at a time: zones of other
// tools may be longer than ours. A power cut leaves more of it new; the record stays.
func (w *inPlace) redo(ctx context.Context, hot zone) error {
	buffers, err := newBuffers(1, w.longest())
	if err != nil {
		return err
	}
	defer buffers.release()
	saved, err := w.c.header.LoadZone(w.c.home)
	if err != nil {
		return err
	}
	block := disk.Bytes(saved.BlockSize)
	step := buffers.size.RoundDown(block)
	for at := disk.Bytes(0); at < hot.length; at += step {
		z := zone{hot.start + at, min(step, hot.length-at)}
		p := buffers.get(0)[:z.length]
		if err := readFull(w.c.part, p, w.offset()+z.start); err != nil {
			return err
		}
		for i := disk.Bytes(0); i < z.length; i += block {
			w.restore(saved, int((at+i)/block), p[i:i+block], z.start+i)
		}
		if err := w.store(ctx, z, p); err != nil {
			return err
		}
		if err := w.c.part.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// restore makes block i new where it is old.
func (w *inPlace) restore(saved *luks2.SavedZone, i int, p []byte, logical disk.Bytes) {
	if old := saved.Old(i, p); old != nil {
		copy(p, old)
		w.recode.recode(p, p, logical)
	}
}

// store writes buf, which holds z, where it is in use.
func (w *inPlace) store(ctx context.Context, z zone, buf []byte) error {
	for _, e := range w.c.used.in(z) {
		if err := w.c.pipeline.store(ctx, w.c.part, z.part(buf, e), w.offset()+e.Offset); err != nil {
			return err
		}
	}
	return nil
}

// end is that of the partition.
func (w *inPlace) end() disk.Bytes { return w.c.part.Size() }
