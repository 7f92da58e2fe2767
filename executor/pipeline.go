package executor

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/luks2"
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

// queueDepth is how many pieces are on their way to and from a block device at once: a
// transfer past the page cache waits for the disk, which with fewer would be idle.
const queueDepth = 8

// pipelineFor returns the pipeline of a run over a disk.
func pipelineFor(dev Target, n int) *pipeline {
	p := newPipeline(n)
	if d, ok := dev.(interface{ IsBlockDevice() bool }); ok && n <= 0 && d.IsBlockDevice() {
		p.workers = max(p.workers, queueDepth)
	}
	return p
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

// change makes new bytes in dst of those in src, which may be the same memory; at is
// their place in the whole that is worked on. What it puts into dst may be on the disk
// at once.
type change func(dst, src []byte, at disk.Bytes)

// place is where some bytes lie.
type place struct {
	dev luks2.Device
	off disk.Bytes
}

// plus returns the place at bytes further.
func (p place) plus(at disk.Bytes) place { return place{p.dev, p.off + at} }

// inMemory lets use work on n bytes of a place, where its device keeps them in memory.
func (p place) inMemory(n disk.Bytes, use func(p []byte)) (bool, error) {
	return blockdev.InMemory(p.dev, disk.Extent{Offset: p.off, Size: n}, use)
}

// move makes new bytes of size old ones and writes them to another place that does not
// overlap theirs, or to the same. A piece stays in its worker's cache on the way; where
// the devices keep their bytes in memory, they go straight to their place.
func (p *pipeline) move(ctx context.Context, from, to place, size disk.Bytes, change change) error {
	return p.each(ctx, size, func(at, n disk.Bytes) error {
		from, to := from.plus(at), to.plus(at)
		if done, err := moveInMemory(from, to, n, func(dst, src []byte) { change(dst, src, at) }); done || err != nil {
			return err
		}
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		part := buf[:n]
		if err := readFull(from.dev, part, from.off); err != nil {
			return err
		}
		change(part, part, at)
		return writePiece(to.dev, part, to.off)
	})
}

// pieces are buffers that a piece passes through.
var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

// moveInMemory lets change work from place to place; false where it cannot.
func moveInMemory(from, to place, n disk.Bytes, change func(dst, src []byte)) (done bool, err error) {
	_, sourceErr := from.inMemory(n, func(src []byte) {
		done, err = to.inMemory(n, func(dst []byte) { change(dst, src) })
	})
	return done, errors.Join(sourceErr, err)
}

// load makes new bytes in buf of those from off of src.
func (p *pipeline) load(ctx context.Context, buf []byte, src blockdev.Device, off disk.Bytes, change change) error {
	return p.each(ctx, disk.Bytes(len(buf)), func(at, n disk.Bytes) error {
		part := buf[at : at+n]
		done, err := blockdev.InMemory(src, disk.Extent{Offset: off + at, Size: n}, func(p []byte) { change(part, p, at) })
		if done || err != nil {
			return err
		}
		if err := readFull(src, part, off+at); err != nil {
			return err
		}
		change(part, part, at)
		return nil
	})
}

// store writes buf to off of dst. Whatever becomes of this program, each 4096-byte
// block of dst is old or new.
func (p *pipeline) store(ctx context.Context, dst io.WriterAt, buf []byte, off disk.Bytes) error {
	return p.each(ctx, disk.Bytes(len(buf)), func(at, n disk.Bytes) error {
		return writePiece(dst, buf[at:at+n], off+at)
	})
}

// writePiece writes p, and lets the disk begin with it.
func writePiece(dev io.WriterAt, p []byte, off disk.Bytes) error {
	if _, err := dev.WriteAt(p, int64(off)); err != nil {
		return err
	}
	blockdev.WriteSoon(dev, disk.Extent{Offset: off, Size: disk.Bytes(len(p))})
	return nil
}
