package xts

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"crypto/aes"

	reference "golang.org/x/crypto/xts"
)

// forEach runs a test once for each implementation that this CPU can run.
func forEach(t *testing.T, test func(t *testing.T, impl implementation)) {
	for _, impl := range implementations() {
		t.Run(impl.name, func(t *testing.T) {
			if !impl.supported {
				t.Skipf("this CPU cannot run %s", impl.name)
			}
			test(t, impl)
		})
	}
}

// oracle encrypts with golang.org/x/crypto/xts, which knows one sector at a
// time.
func oracle(t testing.TB, key, src []byte, sectorSize int, tweak uint64) []byte {
	t.Helper()
	ref, err := reference.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, len(src))
	for i := 0; i < len(src); i += sectorSize {
		ref.Encrypt(dst[i:i+sectorSize], src[i:i+sectorSize], tweak)
		tweak += uint64(sectorSize / 512)
	}
	return dst
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// repeated is n bytes of the pattern 00 01 .. ff, as IEEE 1619's vectors 4 to
// 14 have them.
func repeated(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestIEEE1619 runs those of IEEE 1619-2007's Annex B vectors that are 512
// bytes long. The first and last blocks of the ciphertext tell enough: the last
// depends on every doubling before it.
func TestIEEE1619(t *testing.T) {
	const (
		e  = "27182818284590452353602874713526"
		pi = "31415926535897932384626433832795"
		e2 = "2718281828459045235360287471352662497757247093699959574966967627"
		p2 = "3141592653589793238462643383279502884197169399375105820974944592"
	)
	for _, vector := range []struct {
		name, key   string
		tweak       uint64
		first, last string
	}{
		{"4", e + pi, 0, "27a7479befa1d476489f308cd4cfa6e2", "0a282df920147beabe421ee5319d0568"},
		{"10", e2 + p2, 0xff, "1c3b3a102f770386e4836c99e370cf9b", "c4f36ffda9fcea70b9c6e693e148c151"},
	} {
		t.Run(vector.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, impl implementation) {
				c := newCipher(t, impl, unhex(t, vector.key))
				got := make([]byte, 512)
				c.Encrypt(got, repeated(512), 512, vector.tweak)
				if first := hex.EncodeToString(got[:16]); first != vector.first {
					t.Errorf("first block %s, want %s", first, vector.first)
				}
				if last := hex.EncodeToString(got[496:]); last != vector.last {
					t.Errorf("last block %s, want %s", last, vector.last)
				}
			})
		})
	}
}

func newCipher(t testing.TB, impl implementation, key []byte) *Cipher {
	t.Helper()
	c, err := newWith(impl, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSameAsReference compares every implementation with the reference, at all
// sector sizes, at many numbers of sectors (each implementation has its own
// batch sizes to get wrong), at odd addresses, and in place.
func TestSameAsReference(t *testing.T) {
	forEach(t, func(t *testing.T, impl implementation) {
		rng := rand.New(rand.NewPCG(1619, 2007))
		for _, keySize := range []int{32, 64} {
			for _, sectorSize := range []int{512, 1024, 2048, 4096} {
				for _, sectors := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130} {
					compare(t, impl, rng, keySize, sectorSize, sectors)
				}
			}
		}
	})
}

func compare(t *testing.T, impl implementation, rng *rand.Rand, keySize, sectorSize, sectors int) {
	t.Helper()
	key := randomBytes(rng, keySize)
	tweak := rng.Uint64() >> rng.IntN(64)
	size, offset := sectors*sectorSize, rng.IntN(64)
	plain := randomBytes(rng, offset+size)[offset:]
	want := oracle(t, key, plain, sectorSize, tweak)
	where := fmt.Sprintf("%d-byte key, %d sectors of %d bytes from %d", keySize, sectors, sectorSize, tweak)

	c := newCipher(t, impl, key)
	apart := guarded(rng, size)
	c.Encrypt(apart.inner, plain, sectorSize, tweak)
	apart.check(t, where)
	if !bytes.Equal(apart.inner, want) {
		t.Fatalf("encrypt %s: differs from the reference", where)
	}
	for _, to := range []guard{guarded(rng, size), aligned(size)} {
		c.Stream(to.inner, plain, sectorSize, tweak)
		to.check(t, where)
		if !bytes.Equal(to.inner, want) {
			t.Fatalf("stream %s: differs from the reference", where)
		}
	}
	c.Decrypt(apart.inner, apart.inner, sectorSize, tweak)
	apart.check(t, where)
	if !bytes.Equal(apart.inner, plain) {
		t.Fatalf("decrypt in place %s: differs from the plaintext", where)
	}
	c.Encrypt(apart.inner, apart.inner, sectorSize, tweak)
	if !bytes.Equal(apart.inner, want) {
		t.Fatalf("encrypt in place %s: differs from the reference", where)
	}
	back := guarded(rng, size)
	c.Decrypt(back.inner, want, sectorSize, tweak)
	back.check(t, where)
	if !bytes.Equal(back.inner, plain) {
		t.Fatalf("decrypt %s: differs from the plaintext", where)
	}
}

// guard is a buffer at an odd address between two marked stretches that
// nothing may touch.
type guard struct {
	inner, before, after []byte
}

const mark = 0xa5

func guarded(rng *rand.Rand, size int) guard {
	start := 64 + rng.IntN(64)
	b := bytes.Repeat([]byte{mark}, start+size+64)
	return guard{inner: b[start : start+size : start+size], before: b[:start], after: b[start+size:]}
}

// aligned is one at a multiple of 64.
func aligned(size int) guard {
	b := bytes.Repeat([]byte{mark}, size+192)
	start := 64 + int(-uintptr(unsafe.Pointer(unsafe.SliceData(b)))%64)
	return guard{inner: b[start : start+size : start+size], before: b[:start], after: b[start+size:]}
}

func (g guard) check(t *testing.T, where string) {
	t.Helper()
	for _, margin := range [][]byte{g.before, g.after} {
		if len(bytes.Trim(margin, string([]byte{mark}))) != 0 {
			t.Fatalf("%s: wrote outside the destination", where)
		}
	}
}

// TestTweakWraps holds the last sector numbers of a 64-bit disk to the
// reference.
func TestTweakWraps(t *testing.T) {
	forEach(t, func(t *testing.T, impl implementation) {
		key, plain := repeated(64), repeated(40*512)
		const tweak = ^uint64(0) - 19
		got := make([]byte, len(plain))
		newCipher(t, impl, key).Encrypt(got, plain, 512, tweak)
		if !bytes.Equal(got, oracle(t, key, plain, 512, tweak)) {
			t.Error("sector numbers near 2^64: differs from the reference")
		}
	})
}

func TestKeyLengths(t *testing.T) {
	for n := range 130 {
		_, err := New(make([]byte, n))
		if valid := n == 32 || n == 64; valid != (err == nil) || err != nil && err.Error() != fmt.Sprintf("aes-xts key of %d bytes: must be 32 or 64", n) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	c, err := New(repeated(64))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8192)
	for name, misuse := range map[string]func(){
		"sector size 0":      func() { c.Encrypt(buf, buf, 0, 0) },
		"sector size 768":    func() { c.Decrypt(buf, buf[:768], 768, 0) },
		"sector size 8192":   func() { c.Encrypt(buf, buf, 8192, 0) },
		"part of a sector":   func() { c.Encrypt(buf, buf[:513], 512, 0) },
		"short destination":  func() { c.Decrypt(buf[:511], buf[:512], 512, 0) },
		"overlap forward":    func() { c.Encrypt(buf[1:], buf[:4096], 512, 0) },
		"overlap backward":   func() { c.Decrypt(buf[:4096], buf[512:4608], 512, 0) },
		"overlap, streamed":  func() { c.Stream(buf[64:], buf[:4096], 512, 0) },
		"use after the wipe": func() { w, _ := New(repeated(32)); w.Wipe(); w.Encrypt(buf, buf, 512, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				if len(bytes.Trim(buf, "\x00")) != 0 {
					t.Error("wrote before it panicked")
				}
			}()
			misuse()
		})
	}
}
