package executor

import (
	"context"
	"runtime"

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
	group.SetLimit(p.workers)
	for off := disk.Bytes(0); off < size && running.Err() == nil; off += piece {
		n := min(piece, size-off)
		group.Go(func() error { return do(off, n) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
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
		_, err := dst.WriteAt(buf[at:at+n], int64(off+at))
		return err
	})
}
