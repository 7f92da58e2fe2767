package executor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"golang.org/x/sync/errgroup"
)

// piece is what one worker reads, encrypts or writes at a time: large enough that
// a call costs nothing, small enough to stay in a core's cache.
const piece = 256 * disk.KiB

// pipeline is the parallel path that all bytes take on their way to being
// encrypted. Its workers are the budget of the whole run.
type pipeline struct{ workers int }

// newPipeline returns a pipeline of n workers, or one a core.
func newPipeline(n int) *pipeline {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &pipeline{workers: n}
}

// each calls do for every piece of size bytes, in parallel, and returns the first
// error. No call begins after ctx is done or another failed.
func (p *pipeline) each(ctx context.Context, size disk.Bytes, do func(off, n disk.Bytes) error) error {
	group, running := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(p.workers, int((size+piece-1)/piece)) {
		group.Go(func() error {
			for running.Err() == nil {
				off := disk.Bytes(next.Add(int64(piece))) - piece
				if off >= size {
					return nil
				}
				if err := do(off, min(piece, size-off)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// move reads size bytes at from, lets change make new ones of each piece, and writes
// them to the same device at to. The two places do not overlap. A piece stays in its
// worker's cache on the way.
func (p *pipeline) move(ctx context.Context, dev blockdev.Device, from, to, size disk.Bytes, change func(part []byte, at disk.Bytes)) error {
	pieces := sync.Pool{New: func() any { return new([piece]byte) }}
	return p.each(ctx, size, func(at, n disk.Bytes) error {
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		part := buf[:n]
		if err := readFull(dev, part, from+at); err != nil {
			return err
		}
		change(part, at)
		if _, err := dev.WriteAt(part, int64(to+at)); err != nil {
			return err
		}
		blockdev.WriteSoon(dev, disk.Extent{Offset: to + at, Size: n})
		return nil
	})
}

// load reads len(buf) bytes from off of src into buf, and calls use for each piece
// of them with its place in buf.
func (p *pipeline) load(ctx context.Context, buf []byte, src blockdev.Device, off disk.Bytes, use func(part []byte, at disk.Bytes)) error {
	return p.each(ctx, disk.Bytes(len(buf)), func(at, n disk.Bytes) error {
		part := buf[at : at+n]
		if err := readFull(src, part, off+at); err != nil {
			return err
		}
		use(part, at)
		return nil
	})
}

// store writes buf to off of dst.
func (p *pipeline) store(ctx context.Context, dst blockdev.Device, buf []byte, off disk.Bytes) error {
	return p.each(ctx, disk.Bytes(len(buf)), func(at, n disk.Bytes) error {
		if _, err := dst.WriteAt(buf[at:at+n], int64(off+at)); err != nil {
			return err
		}
		blockdev.WriteSoon(dst, disk.Extent{Offset: off + at, Size: n})
		return nil
	})
}
