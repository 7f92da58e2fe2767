package secret

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// TestHashesAreTheStandardOnes compares with the standard library, at lengths around a block.
func TestHashesAreTheStandardOnes(t *testing.T) {
	for _, size := range []int{0, 1, 31, 32, 63, 64, 65, 128, 200} {
		key, text := make([]byte, size), make([]byte, 200-size)
		_, _ = rand.Read(key)  // never fails
		_, _ = rand.Read(text) // never fails
		if want := sha256.Sum256(append(bytes.Clone(key), text...)); !bytes.Equal(Sum256(key, text), want[:]) {
			t.Errorf("SHA-256 of %d and %d bytes differs", size, len(text))
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		if !bytes.Equal(HMAC256(key, text[:len(text)/2], text[len(text)/2:]), mac.Sum(nil)) {
			t.Errorf("HMAC under %d bytes differs", size)
		}
		want, err := hkdf.Key(sha256.New, text, key, "for tests", sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(HKDF256(text, key, "for tests"), want) {
			t.Errorf("HKDF with a salt of %d bytes differs", size)
		}
	}
}
