package secret

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Hashes of secrets. Those of the standard library keep the end of their input, in the heap
// and on the stack, and HMAC keeps its key; these leave nothing.

// Sum256 returns the SHA-256 of the parts, one behind the other, for the caller to wipe.
func Sum256(parts ...[]byte) (sum []byte) {
	onCleanStack(func() {
		h := sha256.New()
		for _, part := range parts {
			_, _ = h.Write(part) // never fails
		}
		sum = h.Sum(nil)
		h.Reset()
		_, _ = h.Write(make([]byte, sha256.BlockSize-1)) // over what it has kept
	})
	return sum
}

// HMAC256 returns the HMAC-SHA256 (RFC 2104) of the parts, for the caller to wipe.
func HMAC256(key []byte, parts ...[]byte) []byte {
	if len(key) > sha256.BlockSize {
		key = Sum256(key)
		defer Wipe(key)
	}
	before, behind := pad(key, 0x36), pad(key, 0x5c)
	defer Wipe(before)
	defer Wipe(behind)
	inner := Sum256(append([][]byte{before}, parts...)...)
	defer Wipe(inner)
	return Sum256(behind, inner)
}

// HKDF256 returns 32 bytes of HKDF-SHA256 (RFC 5869), for the caller to wipe.
func HKDF256(key, salt []byte, info string) []byte {
	extracted := HMAC256(salt, key)
	defer Wipe(extracted)
	return HMAC256(extracted, []byte(info), []byte{1})
}

// pad returns a key in a block of its own, XOR b.
func pad(key []byte, b byte) []byte {
	block := make([]byte, sha256.BlockSize)
	for i := range block {
		block[i] = b
	}
	subtle.XORBytes(block, block[:len(key)], key)
	return block
}

// onCleanStack calls f, and overwrites what that left on the stack. The stack is made large
// enough before: one that must grow is left behind as it was.
func onCleanStack(f func()) {
	burnStack()
	defer burnStack()
	f()
}

// burnStack overwrites what the calls before it have left on this goroutine's stack.
//
//go:noinline
func burnStack() (sum byte) {
	var room [8 << 10]byte
	clear(room[:])
	for i := range room {
		sum |= room[i]
	}
	return sum
}
