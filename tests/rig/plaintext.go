package rig

import (
	"bytes"
	"hash/maphash"
	"os"
	"testing"
)

// sector is what plain text is looked for by, in bytes.
const sector = 512

// NoPlainText demands that no sector of a file system, but for those of one byte over and over,
// is anywhere in an image.
func NoPlainText(t testing.TB, fs, image string) {
	t.Helper()
	seed := maphash.MakeSeed()
	plain := map[uint64]bool{}
	eachSector(t, fs, func(_ int, s []byte) { plain[maphash.Bytes(seed, s)] = true })
	left, first := 0, 0
	eachSector(t, image, func(at int, s []byte) {
		if plain[maphash.Bytes(seed, s)] {
			if left++; left == 1 {
				first = at
			}
		}
	})
	if len(plain) == 0 || left > 0 {
		t.Errorf("%d sectors of plain text are left, the first at byte %d (of %d)", left, first, len(plain))
	}
}

// eachSector calls do with the sectors of a file that are not one byte over and over.
func eachSector(t testing.TB, path string, do func(at int, s []byte)) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+sector <= len(content); at += sector {
		s := content[at : at+sector]
		if !bytes.Equal(s[1:], s[:sector-1]) {
			do(at, s)
		}
	}
}
