package verity

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"
	"math/bits"
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
