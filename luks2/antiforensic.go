package luks2

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// stripes is how many pieces a key is split into. The format stores the number;
// every implementation uses this one.
const stripes = 4000

// split spreads a key over stripes pieces of its own length, of which all are needed
// to get it back: whoever overwrites a few sectors of a keyslot has destroyed it.
// All pieces but the last are random.
func split(key []byte, hashName string, rnd io.Reader) ([]byte, error) {
	newHash, err := newHash(hashName)
	if err != nil {
		return nil, err
	}
	material := make([]byte, len(key)*stripes)
	last := len(material) - len(key)
	if _, err := io.ReadFull(rnd, material[:last]); err != nil {
		return nil, fmt.Errorf("random stripes: %w", err)
	}
	d := gather(material[:last], len(key), newHash())
	subtle.XORBytes(material[last:], d, key)
	clear(d)
	return material, nil
}

// merge gets the key back from its pieces.
func merge(material []byte, keySize int, hashName string) ([]byte, error) {
	newHash, err := newHash(hashName)
	if err != nil {
		return nil, err
	}
	last := keySize * (stripes - 1)
	key := gather(material[:last], keySize, newHash())
	subtle.XORBytes(key, key, material[last:last+keySize])
	return key, nil
}

// gather chains all random pieces: d = diffuse(d xor piece), from a zero block.
func gather(pieces []byte, size int, h hash.Hash) []byte {
	d := make([]byte, size)
	for ; len(pieces) > 0; pieces = pieces[size:] {
		subtle.XORBytes(d, d, pieces[:size])
		diffuse(d, h)
	}
	return d
}

// diffuse replaces every chunk of hash length by the hash of its number and itself;
// a shorter last chunk by the beginning of its hash.
func diffuse(d []byte, h hash.Hash) {
	var number [4]byte
	sum := make([]byte, 0, h.Size())
	for i := 0; len(d) > 0; i++ {
		chunk := d[:min(h.Size(), len(d))]
		binary.BigEndian.PutUint32(number[:], uint32(i))
		h.Reset()
		h.Write(number[:])
		h.Write(chunk)
		sum = h.Sum(sum[:0])
		copy(chunk, sum)
		d = d[len(chunk):]
	}
}
