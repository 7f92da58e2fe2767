package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/luks2"
)

// inPlace is the form in which no byte moves: a zone is rewritten where it lies, from
// the beginning upwards. What is half written is told from what the header's device
// keeps of the hot zone: its old bytes (journal) or their checksums.
//
// With checksums a zone costs four flushes: its data, the checksums of the next, the
// two header copies. A power cut leaves
//
//   - before the data's flush: the zone hot, its checksums there: each block is
//     known as old or new and redone or left;
//   - between the data and the header that says it is done: the zone hot and all of
//     it new, the checksums its own, the next one's or a mixture. No new block has
//     the checksum of any old one, so all are left as they are;
//   - after the header: the next zone hot, its checksums durable, its data old.
//
// A journal must not be overwritten while its zone is hot, for it would be written
// back. So there the zone is committed as done first: six flushes.
type inPlace struct {
	c      *conversion
	state  *luks2.Reencryption // as the work began: what does not change of it is used
	recode recoder

	buffers *buffers
	turn    int    // of the buffer that ahead fills
	sums    []byte // of the zone that ahead read last
	hot     []byte // new bytes of the hot zone
}

// newInPlace returns the way of a conversion, with memory for two zones.
func newInPlace(c *conversion, state *luks2.Reencryption, recode recoder) (*inPlace, error) {
	w := &inPlace{c: c, state: state, recode: recode}
	if w.bufferSize() <= 0 {
		return nil, errors.New("the header has no room to keep what is needed of a hot zone")
	}
	var err error
	w.buffers, err = newBuffers(2, w.bufferSize())
	return w, err
}

// release gives back the buffers.
func (w *inPlace) release() { w.buffers.release() }

func (w *inPlace) journal() bool { return w.state.Resilience == "journal" }

func (w *inPlace) offset() disk.Bytes { return disk.Bytes(w.state.DataOffset) }

// bufferSize is the length of the longest zone.
func (w *inPlace) bufferSize() disk.Bytes {
	limit := min(w.c.maxZone, disk.Bytes(w.state.DataSize).RoundUp(claimBlock))
	return min(limit, disk.Bytes(w.state.MaxZone()))
}

// next returns the zone that begins where the old data begins.
func (w *inPlace) next(remaining disk.Bytes) zone {
	return zone{disk.Bytes(w.state.DataSize) - remaining, min(remaining, w.bufferSize())}
}

// ahead reads z. For checksums those are taken and the new bytes made at once; a
// journal needs the old bytes until they are kept.
func (w *inPlace) ahead(ctx context.Context, z zone) error {
	buf := w.buffers.get(w.turn)[:z.length]
	w.sums = make([]byte, w.state.SumsSize(int64(len(buf))))
	for _, e := range w.c.used.in(z) {
		err := w.c.pipeline.load(ctx, z.part(buf, e), w.c.part, w.offset()+e.Offset, func(dst, src []byte, at disk.Bytes) {
			if w.journal() {
				copy(dst, src)
				return
			}
			copy(w.sums[w.state.SumsSize(int64(e.Offset-z.start+at)):], w.state.Sums(src))
			w.recode.recode(dst, src, e.Offset+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skip goes up to the first used byte. At the end one block is left, for a last hot
// zone to finish with.
func (w *inPlace) skip(remaining disk.Bytes) disk.Bytes {
	size := disk.Bytes(w.state.DataSize)
	at := size - remaining
	return min(w.c.used.startFrom(at, size)-at, max(remaining-claimBlock, 0).RoundDown(claimBlock))
}

// keep writes the record of z. A power cut leaves a torn record that matters to
// nobody: see inPlace.
func (w *inPlace) keep(ctx context.Context, z zone, hot bool) error {
	buf := w.buffers.get(w.turn)[:z.length]
	w.hot, w.turn = buf, w.turn+1
	if !w.journal() {
		return w.c.header.SaveSums(w.c.home, int64(z.start), int64(z.length), w.sums)
	}
	if hot {
		if err := w.c.header.Commit(w.c.home); err != nil {
			return fmt.Errorf("commit the zone before %d as done: %w", z.start, err)
		}
	}
	if err := w.c.header.SaveZone(w.c.home, int64(z.start), buf); err != nil {
		return err
	}
	return w.c.pipeline.each(ctx, z.length, func(at, n disk.Bytes) error {
		w.recode.recode(buf[at:at+n], buf[at:at+n], z.start+at)
		return nil
	})
}

// write writes the new bytes of the hot zone.
func (w *inPlace) write(ctx context.Context, z zone) error { return w.store(ctx, z, w.hot) }

// store writes buf, which holds z, where it is in use.
func (w *inPlace) store(ctx context.Context, z zone, buf []byte) error {
	for _, e := range w.c.used.in(z) {
		if err := w.c.pipeline.store(ctx, w.c.part, z.part(buf, e), w.offset()+e.Offset); err != nil {
			return err
		}
	}
	return nil
}

// redo makes new what is old of the hot zone, a buffer at a time: zones of other
// tools may be longer than ours. A power cut leaves more of it new; the record stays.
func (w *inPlace) redo(ctx context.Context, hot zone) error {
	buf := w.buffers.get(w.turn)
	saved, err := w.c.header.LoadZone(w.c.home)
	if err != nil {
		return err
	}
	block := disk.Bytes(saved.BlockSize)
	step := disk.Bytes(len(buf)).RoundDown(block)
	for at := disk.Bytes(0); at < hot.length; at += step {
		z := zone{hot.start + at, min(step, hot.length-at)}
		p := buf[:z.length]
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

// end is that of the partition.
func (w *inPlace) end() disk.Bytes { return w.c.part.Size() }

// leaves names the journal: it holds old data of the last hot zone.
func (w *inPlace) leaves() (disk.Bytes, disk.Extent) {
	if !w.journal() {
		return 0, disk.Extent{}
	}
	return 0, disk.Extent{Offset: disk.Bytes(w.state.AreaOffset), Size: disk.Bytes(w.state.AreaSize)}
}
