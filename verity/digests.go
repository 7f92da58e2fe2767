package verity

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// batchSize is how many bytes are read and hashed at a time: enough for the disk
// to be fast, little enough to be in the CPU's cache still when they are hashed.
const batchSize = 512 << 10

// maxBatches bounds the memory on a machine of very many CPUs.
const maxBatches = 64

// blocks is a run of equal blocks on a device.
type blocks struct {
	name      string // what the blocks are, for errors: "data block"
	device    io.ReaderAt
	offset    int64 // of the first block, in bytes
	blockSize int   // bytes
	count     int64
}

// batch is a few successive blocks on their way through the workers.
type batch struct {
	first   int64  // number of the first block
	data    []byte // the blocks
	slots   []byte // their digests, each in its slot
	outcome chan error
}

// digests reads and hashes the blocks in parallel and hands their digests, each
// in a slot padded with zeros, to take in the order of the blocks, from one
// goroutine. take must not keep slots. The same goroutine tells progress, unless
// nil, how many bytes have been taken. There are twice as many workers as CPUs:
// while some wait for the disk, the others hash, and that is the read-ahead. The
// first error in the order of the blocks ends it.
func (d digester) digests(ctx context.Context, from blocks, take func(first int64, slots []byte) error, progress func(done int64)) error {
	batches := d.batches(from)
	free, work, ordered := make(chan *batch, len(batches)), make(chan *batch, len(batches)), make(chan *batch, len(batches))
	for _, b := range batches {
		free <- b
	}
	group, ctx := errgroup.WithContext(ctx)
	for range batches {
		h, err := d.hasher(from.blockSize)
		if err != nil {
			return err
		}
		group.Go(func() error {
			for b := range work {
				b.outcome <- b.fill(h, from)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(work)
		defer close(ordered)
		return d.deal(ctx, from, free, work, ordered)
	})
	group.Go(func() error { return collect(ordered, free, take, progress) })
	return group.Wait()
}

// batches makes the buffers: as many as there are workers, fewer when the blocks
// are few.
func (d digester) batches(from blocks) []*batch {
	perBatch := int64(max(1, batchSize/from.blockSize))
	wanted := min(int64(2*runtime.GOMAXPROCS(0)), maxBatches, (from.count-1)/perBatch+1)
	batches := make([]*batch, wanted)
	for i := range batches {
		perBatch := min(perBatch, from.count)
		batches[i] = &batch{
			data:    make([]byte, 0, perBatch*int64(from.blockSize)),
			slots:   make([]byte, 0, perBatch*int64(d.slot)),
			outcome: make(chan error, 1),
		}
	}
	return batches
}

// deal hands out the blocks in order, to the workers and, so that the order is
// known, to the collector.
func (d digester) deal(ctx context.Context, from blocks, free <-chan *batch, work, ordered chan<- *batch) error {
	for first := int64(0); first < from.count; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-free:
			n := min(int64(cap(b.data)/from.blockSize), from.count-first)
			b.first, b.data, b.slots = first, b.data[:n*int64(from.blockSize)], b.slots[:n*int64(d.slot)]
			work <- b
			ordered <- b
			first += n
		}
	}
	return nil
}

// fill reads and hashes one batch.
func (b *batch) fill(h hasher, from blocks) error {
	offset := from.offset + b.first*int64(from.blockSize)
	if err := readFull(from.device, b.data, offset); err != nil {
		return fmt.Errorf("read %s %d and those after it, %d bytes at byte %d: %w", from.name, b.first, len(b.data), offset, err)
	}
	h.Sum(b.slots, b.data)
	return nil
}

// collect hands over what the workers have done, in the order of the blocks.
func collect(ordered <-chan *batch, free chan<- *batch, take func(first int64, slots []byte) error, progress func(done int64)) error {
	done := int64(0)
	for b := range ordered {
		if err := <-b.outcome; err != nil {
			return err
		}
		if err := take(b.first, b.slots); err != nil {
			return err
		}
		if done += int64(len(b.data)); progress != nil {
			progress(done)
		}
		free <- b
	}
	return nil
}
