package executor

import (
	"context"
	"errors"
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

// change makes new bytes in dst of those in src, which may be the same memory; at is
// their place in the whole that is worked on. What it puts into dst may be on the disk
// at once.
type change func(dst, src []byte, at disk.Bytes)

// move makes new bytes of the size bytes at from, and writes them to the same device
// at to. The two places do not overlap. A piece stays in its worker's cache on the
// way; where the device keeps its bytes in memory, they go straight to their place.
func (p *pipeline) move(ctx context.Context, dev blockdev.Device, from, to, size disk.Bytes, change change) error {
	pieces := sync.Pool{New: func() any { return new([piece]byte) }}
	return p.each(ctx, size, func(at, n disk.Bytes) error {
		source, target := disk.Extent{Offset: from + at, Size: n}, disk.Extent{Offset: to + at, Size: n}
		if done, err := moveInMemory(dev, source, target, func(dst, src []byte) { change(dst, src, at) }); done || err != nil {
			return err
		}
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		part := buf[:n]
		if err := readFull(dev, part, source.Offset); err != nil {
			return err
		}
		change(part, part, at)
		return writePiece(dev, part, target.Offset)
	})
}

// moveInMemory lets change work from place to place; false where it cannot.
func moveInMemory(dev blockdev.Device, from, to disk.Extent, change func(dst, src []byte)) (done bool, err error) {
	_, sourceErr := blockdev.InMemory(dev, from, func(src []byte) {
		done, err = blockdev.InMemory(dev, to, func(dst []byte) { change(dst, src) })
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

// store writes buf to off of dst.
func (p *pipeline) store(ctx context.Context, dst blockdev.Device, buf []byte, off disk.Bytes) error {
	return p.each(ctx, disk.Bytes(len(buf)), func(at, n disk.Bytes) error {
		part := buf[at : at+n]
		done, err := blockdev.InMemory(dst, disk.Extent{Offset: off + at, Size: n}, func(p []byte) { copy(p, part) })
		if done || err != nil {
			return err
		}
		return writePiece(dst, part, off+at)
	})
}

// writePiece writes p, and lets the disk begin with it.
func writePiece(dev blockdev.Device, p []byte, off disk.Bytes) error {
	if _, err := dev.WriteAt(p, int64(off)); err != nil {
		return err
	}
	blockdev.WriteSoon(dev, disk.Extent{Offset: off, Size: disk.Bytes(len(p))})
	return nil
}
