package sha256x

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Size is the size of a digest in bytes.
const Size = sha256.Size

const chunkSize = sha256.BlockSize

// maxChunks is how many chunks of each message one call into assembly takes. The
// goroutine cannot be interrupted in it, which is a matter of microseconds.
const maxChunks = 128

// Hasher computes the digests of blocks of one size behind one salt. It has
// scratch space, and is for one goroutine.
type Hasher struct {
	blockSize int
	salt      []byte
	rest      []byte // of the salt: what is no whole chunk
	padding   []byte // behind the block, up to a whole chunk
	// groups are the ways to compute several messages at a time, fastest first;
	// one takes what remains.
	groups []group
	one    hash.Hash
}

// group is an implementation, and the running hashes of its messages.
type group struct {
	implementation
	initial states // after the whole chunks of the salt
	now     states
	// ends are the chunks that begin and those that end each message.
	ends [maxLanes * 2 * chunkSize]byte
}

// New returns the Hasher for blocks of blockSize bytes, a multiple of 64.
func New(salt []byte, blockSize int) *Hasher {
	return newWith(supported(), salt, blockSize)
}

func newWith(list []implementation, salt []byte, blockSize int) *Hasher {
	if blockSize <= 0 || blockSize%chunkSize != 0 {
		panic("sha256x: the size of a block is no multiple of 64 bytes")
	}
	whole := len(salt) - len(salt)%chunkSize
	h := &Hasher{
		blockSize: blockSize,
		salt:      salt,
		rest:      salt[whole:],
		padding:   padding(len(salt) + blockSize),
		groups:    make([]group, len(list)),
		one:       sha256.New(),
	}
	for i, impl := range list {
		h.groups[i].implementation = impl
		h.groups[i].begin(salt[:whole])
	}
	return h
}

// padding is what follows a message of size bytes (FIPS 180-4, 5.1.1): a bit, zeros
// and the size in bits, up to the end of a chunk.
func padding(size int) []byte {
	const least = 1 + 8
	p := make([]byte, least+(2*chunkSize-least-size%chunkSize)%chunkSize)
	p[0] = 0x80
	binary.BigEndian.PutUint64(p[len(p)-8:], uint64(size)*8)
	return p
}

// initialHash is H(0) of FIPS 180-4, 5.3.3.
var initialHash = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// begin computes what all messages have in common: whole chunks of salt.
func (g *group) begin(salt []byte) {
	for w, word := range initialHash {
		for i := range g.lanes {
			g.initial[g.words[w]+i*g.lane] = word
		}
	}
	if len(salt) > 0 {
		g.compress(&g.initial, &salt[0], 0, len(salt)/chunkSize)
	}
}

// Sum hashes successive blocks. The digest of block i, of Size bytes, goes to
// digests[i*Size]. The blocks must be whole, and digests have room for all.
func (h *Hasher) Sum(digests, blocks []byte) {
	for i := range h.groups {
		g := &h.groups[i]
		for size := g.lanes * h.blockSize; len(blocks) >= size; blocks = blocks[size:] {
			h.group(g, digests, blocks)
			digests = digests[g.lanes*Size:]
		}
	}
	for ; len(blocks) > 0; blocks = blocks[h.blockSize:] {
		h.one.Reset()
		h.one.Write(h.salt) // a hash never returns an error
		h.one.Write(blocks[:h.blockSize])
		h.one.Sum(digests[:0])
		digests = digests[Size:]
	}
}

// group hashes the first blocks, as many as g takes.
func (h *Hasher) group(g *group, digests, blocks []byte) {
	g.now = g.initial
	begun := 0 // bytes of each block that are hashed
	if len(h.rest) > 0 {
		begun = h.head(g, blocks)
	}
	chunks := (h.blockSize - begun) / chunkSize
	for ; chunks > 0; chunks -= min(chunks, maxChunks) {
		g.compress(&g.now, &blocks[begun], h.blockSize, min(chunks, maxChunks))
		begun += min(chunks, maxChunks) * chunkSize
	}
	h.tail(g, blocks, begun)
	g.digests(digests)
}

// head hashes the chunk of each message that has the end of the salt and the start
// of the block, and returns how many bytes of the block that are.
func (h *Hasher) head(g *group, blocks []byte) int {
	for i := range g.lanes {
		end := g.ends[i*chunkSize:][:chunkSize]
		copy(end[copy(end, h.rest):], blocks[i*h.blockSize:])
	}
	g.compress(&g.now, &g.ends[0], chunkSize, 1)
	return chunkSize - len(h.rest)
}

// tail hashes the chunks of each message that have the end of the block, from a
// byte on, and the padding.
func (h *Hasher) tail(g *group, blocks []byte, begun int) {
	size := h.blockSize - begun + len(h.padding)
	for i := range g.lanes {
		end := g.ends[i*size:][:size]
		copy(end[copy(end, blocks[i*h.blockSize:][begun:h.blockSize]):], h.padding)
	}
	g.compress(&g.now, &g.ends[0], size, size/chunkSize)
}

// digests writes the running hashes as digests.
func (g *group) digests(digests []byte) {
	for i := range g.lanes {
		for w, at := range g.words {
			binary.BigEndian.PutUint32(digests[i*Size+4*w:], g.now[at+i*g.lane])
		}
	}
}
