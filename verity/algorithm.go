package verity

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"
	"math/bits"

	"github.com/sealpart/sealpart/verity/internal/sha256x"
)

// algorithm returns the constructor of a hash by its name in the superblock,
// which is the kernel's.
func algorithm(name string) (func() hash.Hash, error) {
	switch name {
	case "sha256":
		return sha256.New, nil
	case "sha384":
		return sha512.New384, nil
	case "sha512":
		return sha512.New, nil
	case "sha3-256":
		return func() hash.Hash { return sha3.New256() }, nil
	case "sha3-512":
		return func() hash.Hash { return sha3.New512() }, nil
	}
	return nil, fmt.Errorf("hash algorithm %q: must be sha256, sha384, sha512, sha3-256 or sha3-512", name)
}

// slotSize is the room a digest takes in a hash block: its size in bytes rounded
// up to a power of two. The rest is zero.
func slotSize(digestSize int) int {
	return 1 << bits.Len(uint(digestSize-1))
}

// Implementation names the code that computes SHA-256, the usual hash, on this CPU:
// "avx512-x16", "sha-ni-x2" or "portable".
func Implementation() string { return sha256x.Implementation() }

// digester knows how the blocks of a tree are hashed.
type digester struct {
	algorithm string // a valid one
	slot      int    // bytes from one digest to the next
	salt      []byte
}

// hasher computes the digests of successive blocks of one size, each in its slot.
// It has scratch space, and is for one goroutine.
type hasher interface {
	Sum(slots, blocks []byte)
}

func (d digester) hasher(blockSize int) (hasher, error) {
	if d.algorithm == "sha256" {
		return sha256x.New(d.salt, blockSize), nil // whose digests fill their slots
	}
	newHash, err := algorithm(d.algorithm)
	if err != nil {
		return nil, err
	}
	return &oneByOne{hash: newHash(), slot: d.slot, salt: d.salt, blockSize: blockSize}, nil
}

// oneByOne is a hasher of any algorithm.
type oneByOne struct {
	hash      hash.Hash
	slot      int
	salt      []byte
	blockSize int
}

// Sum hashes one block after the other.
func (o *oneByOne) Sum(slots, blocks []byte) {
	clear(slots)
	for i := range len(blocks) / o.blockSize {
		o.hash.Reset()
		o.hash.Write(o.salt) // a hash never returns an error
		o.hash.Write(blocks[i*o.blockSize:][:o.blockSize])
		o.hash.Sum(slots[i*o.slot:][:0])
	}
}
