package executor

import (
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// buffers are equal page-aligned pieces of one mapping, given back to the system
// as soon as they are released: a conversion must not keep memory for the next.
type buffers struct {
	mapping []byte
	size    disk.Bytes
	count   int
}

// newBuffers maps count buffers of size bytes.
func newBuffers(count int, size disk.Bytes) (*buffers, error) {
	mapping, err := unix.Mmap(-1, 0, count*int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for %d buffers of %s: %w", count, size, err)
	}
	return &buffers{mapping: mapping, size: size, count: count}, nil
}

// get returns buffer i, counted round and round.
func (b *buffers) get(i int) []byte {
	at := disk.Bytes(i%b.count) * b.size
	return b.mapping[at : at+b.size : at+b.size]
}

// release gives the memory back.
func (b *buffers) release() { _ = unix.Munmap(b.mapping) }

// readFull reads all of p at off.
func readFull(dev io.ReaderAt, p []byte, off disk.Bytes) error {
	n, err := dev.ReadAt(p, int64(off))
	if n == len(p) {
		return nil
	}
	err = fmt.Errorf("read %d of %d bytes at %d: %w", n, len(p), off, err)
	if named, ok := dev.(interface{ Name() string }); ok {
		err = fmt.Errorf("%s: %w", named.Name(), err)
	}
	return err
}
