package luks2

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/sys/unix"
)

// Argon2 (RFC 9106) is driven here, not by the package argon2, so that it can be stopped,
// so that memory that cannot be had is an error and not the end of the program, and so
// that nothing of the secret stays in the heap. The compression function, the part that
// is worth assembly, is that package's: see argon2block.go.

const (
	argon2Version  = 0x13
	argon2Slices   = 4   // synchronisation points of a pass
	argon2Words    = 128 // of 8 bytes in a block
	argon2i        = 1
	argon2id       = 2
	argon2Breath   = 1024 // blocks between two looks at the context: about a millisecond
	argon2KiB      = 1024 // bytes of a block
	argon2HashSize = blake2b.Size
)

// argon2Run is one derivation.
type argon2Run struct {
	mode                    int
	time, memory, threads   uint32 // memory in blocks, a multiple of 4*threads
	laneLength, sliceLength uint32 // blocks
	blocks                  []argon2Block
}

// argon2Key returns size bytes. time, memory (KiB) and threads are at least 1. What it
// takes is charged to ctx's budget.
func argon2Key(ctx context.Context, mode int, secret, salt []byte, time, memory, threads uint32, size int) ([]byte, error) {
	ctx, done := limited(ctx)
	defer done()
	unit := argon2Slices * threads
	r := &argon2Run{mode: mode, time: time, memory: max(memory/unit*unit, 2*unit), threads: threads}
	r.laneLength = r.memory / threads
	r.sliceLength = r.laneLength / argon2Slices
	mapped, err := unix.Mmap(-1, 0, int(r.memory)*argon2KiB, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("%d KiB of memory for argon2: %w", r.memory, err)
	}
	// What it worked in was derived from the secret. The kernel gives no page to anybody
	// else before it is zeroed.
	defer func() { _ = unix.Munmap(mapped) }()
	_ = unix.Madvise(mapped, unix.MADV_DONTDUMP)
	_ = unix.Madvise(mapped, unix.MADV_HUGEPAGE)
	r.blocks = unsafe.Slice((*argon2Block)(unsafe.Pointer(&mapped[0])), r.memory)
	r.begin(argon2Start(mode, secret, salt, time, memory, threads, size))
	if err := r.passes(ctx); err != nil {
		return nil, err
	}
	return r.end(size), nil
}

// argon2Start returns H0 (RFC 9106, section 3.2).
func argon2Start(mode int, secret, salt []byte, time, memory, threads uint32, size int) [argon2HashSize]byte {
	input := make([]byte, 0, 40+len(secret)+len(salt)) // room for all: no copy of the secret is left behind
	for _, n := range []uint32{threads, uint32(size), memory, time, argon2Version, uint32(mode)} {
		input = binary.LittleEndian.AppendUint32(input, n)
	}
	input = append(binary.LittleEndian.AppendUint32(input, uint32(len(secret))), secret...)
	input = append(binary.LittleEndian.AppendUint32(input, uint32(len(salt))), salt...)
	input = binary.LittleEndian.AppendUint64(input, 0) // neither key nor associated data
	// Before, so that the stack has grown: one that must grow is left behind as it was.
	wipeStack()
	defer wipeStack()
	defer clear(input)
	return blake2b.Sum512(input)
}

// begin fills the first two blocks of each lane.
func (r *argon2Run) begin(h0 [argon2HashSize]byte) {
	var block [argon2KiB]byte
	defer clear(block[:])
	for lane := range r.threads {
		for i := range uint32(2) {
			input := binary.LittleEndian.AppendUint32(h0[:], i)
			argon2Hash(block[:], binary.LittleEndian.AppendUint32(input, lane))
			r.blocks[lane*r.laneLength+i].load(block[:])
		}
	}
}

// passes goes over the memory time times, every lane in a goroutine of its own.
func (r *argon2Run) passes(ctx context.Context) error {
	for pass := range r.time {
		for slice := range uint32(argon2Slices) {
			var lanes sync.WaitGroup
			for lane := range r.threads {
				lanes.Go(func() { r.segment(ctx, pass, slice, lane) })
			}
			lanes.Wait()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// segment fills what a slice and a lane have in common. It ends early once ctx is done.
func (r *argon2Run) segment(ctx context.Context, pass, slice, lane uint32) {
	fixed := r.mode == argon2i || pass == 0 && slice < argon2Slices/2
	addresses := addressBlock{input: argon2Block{uint64(pass), uint64(lane), uint64(slice), uint64(r.memory), uint64(r.time), uint64(r.mode)}}
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2 // those are there
	}
	for index := first; index < r.sliceLength; index++ {
		if index%argon2Breath == 0 && ctx.Err() != nil {
			return
		}
		at := lane*r.laneLength + slice*r.sliceLength + index
		previous := at - 1
		if index == 0 && slice == 0 {
			previous += r.laneLength
		}
		random := r.blocks[previous][0]
		if fixed {
			random = addresses.at(index)
		}
		argon2Compress(&r.blocks[at], &r.blocks[previous], &r.blocks[r.reference(random, pass, slice, lane, index)])
	}
}

// addressBlock gives the pseudo-random values that do not depend on the secret (RFC 9106,
// section 3.4.1.2).
type addressBlock struct{ input, output, zero argon2Block }

func (a *addressBlock) at(index uint32) uint64 {
	if i := uint64(index/argon2Words) + 1; a.input[6] != i {
		a.input[6] = i
		a.output = argon2Block{}
		argon2Compress(&a.output, &a.zero, &a.input)
		next := argon2Block{}
		argon2Compress(&next, &a.zero, &a.output)
		a.output = next
	}
	return a.output[index%argon2Words]
}

// reference returns the place of the block that is mixed in (RFC 9106, section 3.4.2).
func (r *argon2Run) reference(random uint64, pass, slice, lane, index uint32) uint32 {
	from := uint32(random>>32) % r.threads
	if pass == 0 && slice == 0 {
		from = lane
	}
	size, start := 3*r.sliceLength, (slice+1)%argon2Slices*r.sliceLength
	if pass == 0 {
		size, start = slice*r.sliceLength, 0
	}
	if from == lane {
		size += index
	}
	if from == lane || index == 0 {
		size--
	}
	x := random & 0xffffffff
	x = x * x >> 32
	x = x * uint64(size) >> 32
	return from*r.laneLength + uint32((uint64(start)+uint64(size)-1-x)%uint64(r.laneLength))
}

// end returns the key, out of the last blocks of all lanes.
func (r *argon2Run) end(size int) []byte {
	var last [argon2KiB]byte
	defer clear(last[:])
	for i := range argon2Words {
		var word uint64
		for lane := range r.threads {
			word ^= r.blocks[(lane+1)*r.laneLength-1][i]
		}
		binary.LittleEndian.PutUint64(last[8*i:], word)
	}
	key := make([]byte, size)
	argon2Hash(key, last[:])
	return key
}

// load sets a block from its bytes.
func (b *argon2Block) load(bytes []byte) {
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(bytes[8*i:])
	}
}

// argon2Hash is H', the hash of variable length (RFC 9106, section 3.3).
func argon2Hash(out, in []byte) {
	input := append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(in)), uint32(len(out))), in...)
	defer clear(input)
	for len(out) > argon2HashSize {
		v := blake2b.Sum512(input)
		copy(out, v[:argon2HashSize/2])
		out = out[argon2HashSize/2:]
		clear(input)
		input = append(input[:0], v[:]...)
	}
	last, _ := blake2b.New(len(out), nil) // a length from 1 to 64 is no error
	_, _ = last.Write(input)
	last.Sum(out[:0])
	last.Reset()
	_, _ = last.Write(make([]byte, blake2b.BlockSize)) // over what it has kept of its input
}

// wipeStack overwrites what the calls before it have left on this goroutine's stack, about
// a few hundred bytes of it.
//
//go:noinline
func wipeStack() (sum byte) {
	var room [4 << 10]byte
	clear(room[:])
	for i := range room {
		sum |= room[i]
	}
	return sum
}
