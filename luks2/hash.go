package luks2

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // old volumes have it
)

// hashes are those of the format, by their names in it. Others, such as whirlpool and sm3, no
// package here has.
var hashes = map[string]func() hash.Hash{
	"sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	"sha3-224":    func() hash.Hash { return sha3.New224() },
	"sha3-256":    func() hash.Hash { return sha3.New256() },
	"sha3-384":    func() hash.Hash { return sha3.New384() },
	"sha3-512":    func() hash.Hash { return sha3.New512() },
	"ripemd160":   ripemd160.New,
	"blake2b-160": unkeyed(func(key []byte) (hash.Hash, error) { return blake2b.New(20, key) }),
	"blake2b-256": unkeyed(blake2b.New256), "blake2b-384": unkeyed(blake2b.New384), "blake2b-512": unkeyed(blake2b.New512),
	"blake2s-256": unkeyed(blake2s.New256),
}

// unkeyed returns the constructor of a hash that could also take a key.
func unkeyed(newHash func(key []byte) (hash.Hash, error)) func() hash.Hash {
	return func() hash.Hash {
		h, err := newHash(nil)
		if err != nil {
			panic("luks2: a hash without a key: " + err.Error())
		}
		return h
	}
}

// newHash returns the constructor of a hash by its name in the format.
func newHash(name string) (func() hash.Hash, error) {
	if newHash, known := hashes[name]; known {
		return newHash, nil
	}
	return nil, fmt.Errorf("hash %.40q is not supported", name)
}
