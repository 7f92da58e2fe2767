package xts

import (
	"bytes"
	"testing"
)

// FuzzSameAsReference gives every implementation the same bytes and wants of each
// what the reference makes of them, and the plaintext back.
func FuzzSameAsReference(f *testing.F) {
	f.Add(repeated(64), repeated(512), uint8(0), uint64(0))
	f.Add(repeated(32), repeated(4096*3), uint8(3), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, key, plain []byte, size uint8, tweak uint64) {
		if len(key) != 32 && len(key) != 64 {
			t.Skip()
		}
		sectorSize := 512 << (size % 4)
		plain = plain[:len(plain)/sectorSize*sectorSize]
		want := oracle(t, key, plain, sectorSize, tweak)
		got := make([]byte, len(plain))
		for _, impl := range implementations() {
			if !impl.supported {
				continue
			}
			c := newCipher(t, impl, key)
			c.Encrypt(got, plain, sectorSize, tweak)
			if !bytes.Equal(got, want) {
				t.Errorf("%s encrypts differently from the reference", impl.name)
			}
			clear(got)
			c.Stream(got, plain, sectorSize, tweak)
			if !bytes.Equal(got, want) {
				t.Errorf("%s streams differently from the reference", impl.name)
			}
			c.Decrypt(got, want, sectorSize, tweak)
			if !bytes.Equal(got, plain) {
				t.Errorf("%s does not decrypt what the reference encrypted", impl.name)
			}
		}
	})
}
