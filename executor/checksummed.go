package executor

import (
	"context"

	"github.com/sealpart/sealpart/disk"
)

// checksummed keeps the checksums of the hot zone's old blocks. A zone costs four
// flushes: its data, the checksums of the next, the two header copies. A power cut
// leaves
//
//   - before the data's flush: the zone hot, its checksums there: each block is
//     known as old or new and redone or left;
//   - between the data and the header that says it is done: the zone hot and all of
//     it new, the checksums its own, the next one's or a mixture. No new block has
//     the checksum of any old one, so all are left as they are;
//   - after the header: the next zone hot, its checksums durable, its data old.
type checksummed struct {
	inPlace
	buffers *buffers
	turn    int    // of the buffer that ahead fills
	sums    []byte // of the zone that ahead read last
	hot     []byte // new bytes of the hot zone
}

// release gives back the buffers.
func (w *checksummed) release() { w.buffers.release() }

// ahead reads z, takes its checksums, and makes the new bytes.
func (w *checksummed) ahead(ctx context.Context, z zone) error {
	buf := w.buffers.get(w.turn)[:z.length]
	w.sums = make([]byte, w.state.SumsSize(int64(len(buf))))
	for _, e := range w.c.used.in(z) {
		err := w.c.pipeline.load(ctx, z.part(buf, e), w.c.part, w.offset()+e.Offset, func(dst, src []byte, at disk.Bytes) {
			copy(w.sums[w.state.SumsSize(int64(e.Offset-z.start+at)):], w.state.Sums(src))
			w.recode.recode(dst, src, e.Offset+at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep writes the checksums of z. A power cut leaves torn ones that matter to nobody:
// see checksummed.
func (w *checksummed) keep(_ context.Context, z zone, _ bool) error {
	w.hot, w.turn = w.buffers.get(w.turn)[:z.length], w.turn+1
	return w.c.header.SaveSums(w.c.home, int64(z.start), int64(z.length), w.sums)
}

// write writes the new bytes of the hot zone.
func (w *checksummed) write(ctx context.Context, z zone) error { return w.store(ctx, z, w.hot) }

// leaves names nothing: checksums tell nothing of what was there.
func (w *checksummed) leaves() (disk.Bytes, disk.Extent) { return 0, disk.Extent{} }
