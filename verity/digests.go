package verity

import (
	"context"
	"fmt"
	"hash"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// batchSize is how many bytes are read and hashed at a time: enough for the disk
// to be fast, little enough for the cache.
const batchSize = 512 << 10

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

// digester computes the digests of blocks.
type digester struct {
	newHash func() hash.Hash
	slot    int // bytes from one digest to the next
	salt    []byte
}

// digests reads and hashes the blocks in parallel and hands their digests, each
// in a slot padded with zeros, to take in the order of the blocks, from one
// goroutine. take must not keep slots. There are twice as many workers as CPUs:
// while some wait for the disk, the others hash, and that is the read-ahead. The
// first error in the order of the blocks ends it.
func (d digester) digests(ctx context.Context, from blocks, take func(first int64, slots []byte) error) error {
	batches := d.batches(from)
	free, work, ordered := make(chan *batch, len(batches)), make(chan *batch, len(batches)), make(chan *batch, len(batches))
	for _, b := range batches {
		free <- b
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		defer close(ordered)
		return d.deal(ctx, from, free, work, ordered)
	})
	for range batches {
		group.Go(func() error {
			for h := d.newHash(); ; {
				b, more := <-work
				if !more {
					return nil
				}
				b.outcome <- d.fill(h, b, from)
			}
		})
	}
	group.Go(func() error { return collect(ordered, free, take) })
	return group.Wait()
}

// batches makes the buffers: as many as there are workers, fewer when the blocks
// are few.
func (d digester) batches(from blocks) []*batch {
	perBatch := int64(max(1, batchSize/from.blockSize))
	wanted := min(int64(2*runtime.GOMAXPROCS(0)), (from.count-1)/perBatch+1)
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
func (d digester) fill(h hash.Hash, b *batch, from blocks) error {
	offset := from.offset + b.first*int64(from.blockSize)
	if err := readFull(from.device, b.data, offset); err != nil {
		return fmt.Errorf("read %s %d and those after it, %d bytes at byte %d: %w", from.name, b.first, len(b.data), offset, err)
	}
	clear(b.slots)
	for i := range len(b.slots) / d.slot {
		h.Reset()
		h.Write(d.salt) // a hash never returns an error
		h.Write(b.data[i*from.blockSize:][:from.blockSize])
		h.Sum(b.slots[i*d.slot:][:0])
	}
	return nil
}

func collect(ordered <-chan *batch, free chan<- *batch, take func(first int64, slots []byte) error) error {
	for b := range ordered {
		if err := <-b.outcome; err != nil {
			return err
		}
		if err := take(b.first, b.slots); err != nil {
			return err
		}
		free <- b
	}
	return nil
}
