package xts

import (
	"bytes"
	"testing"

	"github.com/sealpart/sealpart/internal/secret"
)

// TestWipe looks at the memory where the keys are, before the wipe, which gives it back.
func TestWipe(t *testing.T) {
	forEach(t, func(t *testing.T, impl implementation) {
		for _, size := range []int{32, 64} {
			key := repeated(size)
			c := newCipher(t, impl, key)
			memory := memoryOf(c.kernel)
			for _, half := range [][]byte{key[:size/2], key[size/2:]} {
				n := bytes.Count(memory.Bytes(), half)
				if impl.name == "portable" && size == 32 {
					n = min(n, 1) // crypto/aes keeps the key for decryption too
				}
				if n != 1 {
					t.Errorf("a half of a %d-byte key is %d times in the locked memory", size, n)
				}
			}
			c.Wipe()
			if memory.Bytes() != nil {
				t.Errorf("after the wipe of a %d-byte key: %x", size, memory.Bytes())
			}
			c.Wipe()
		}
	})
}

// TestRelease takes a key, and gets it back: it is never in two places.
func TestRelease(t *testing.T) {
	forEach(t, func(t *testing.T, impl implementation) {
		for _, size := range []int{32, 64} {
			c := newCipher(t, impl, repeated(size))
			memory := memoryOf(c.kernel)
			key, err := c.Release()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(key.Bytes(), repeated(size)) {
				t.Errorf("the key that comes back is %x", key.Bytes())
			}
			if memory.Bytes() != nil {
				t.Errorf("after a %d-byte key has come back: %x", size, memory.Bytes())
			}
			key.Wipe()
		}
	})
}

// TestTakeWipesTheKey takes keys that are right and wrong.
func TestTakeWipesTheKey(t *testing.T) {
	for _, size := range []int{32, 64, 48} {
		key, err := secret.Take(repeated(size))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Take(key)
		const odd = "aes-xts key of 48 bytes: must be 32 or 64"
		if size == 48 && (err == nil || err.Error() != odd) || size != 48 && err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if key.Bytes() != nil {
			t.Errorf("%d bytes: the key is still there", size)
		}
		if c != nil {
			c.Wipe()
		}
	}
}
