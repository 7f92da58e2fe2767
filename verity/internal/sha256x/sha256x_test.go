package sha256x

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// forEach runs a test once for each implementation that this CPU can run, by
// itself, and once for all of them together, as New has them.
func forEach(t *testing.T, test func(t *testing.T, list []implementation)) {
	for _, impl := range assembly() {
		t.Run(impl.name, func(t *testing.T) {
			if !impl.supported {
				t.Skipf("this CPU cannot run %s", impl.name)
			}
			test(t, []implementation{impl})
		})
	}
	t.Run(portable, func(t *testing.T) { test(t, nil) })
	t.Run("together", func(t *testing.T) { test(t, supported()) })
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestNIST runs those of NIST's examples of SHA-256 (FIPS 180 and the CAVP's
// SHA256ShortMsg.rsp) that have at least a block, in every place of a group.
func TestNIST(t *testing.T) {
	for _, vector := range []struct {
		name, message string
		salt          int // bytes of the message that are salt
		digest        string
	}{
		{
			"112 bytes", "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 48,
			"cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
		},
		{
			"512 bits", string(unhex(t, "5a86b737eaea8ee976a0a24da63e7ed7eefad18a101c1211e2b3650c5187c2a8a650547208251f6d4237e661c7bf4c77f335390394c37fa1a9f9be836ac28509")), 0,
			"42e61e174fbb3897d6dd6cef3dd2802fe67b331953b06114a65c772859dfc1aa",
		},
		{"a million a", strings.Repeat("a", 1e6), 0, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
		{"a million a behind salt", strings.Repeat("a", 1e6), 9e5 + 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	} {
		t.Run(vector.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, list []implementation) {
				salt, block := vector.message[:vector.salt], vector.message[vector.salt:]
				const n = maxLanes + 3
				digests := make([]byte, n*Size)
				newWith(list, []byte(salt), len(block)).Sum(digests, []byte(strings.Repeat(block, n)))
				if want := strings.Repeat(vector.digest, n); hex.EncodeToString(digests) != want {
					t.Errorf("got\n%x, want\n%s", digests, want)
				}
			})
		})
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// check compares with crypto/sha256, and that nothing outside of the digests is
// written, and nothing of the blocks.
func check(t *testing.T, h *Hasher, salt, blocks []byte, blockSize int) {
	t.Helper()
	n := len(blocks) / blockSize
	digests := bytes.Repeat([]byte{0xee}, n*Size+64)
	before := bytes.Clone(blocks)
	h.Sum(digests, blocks)
	for i := range n {
		want := sha256.Sum256(append(bytes.Clone(salt), blocks[i*blockSize:][:blockSize]...))
		if got := digests[i*Size:][:Size]; !bytes.Equal(got, want[:]) {
			t.Fatalf("salt of %d bytes, block %d of %d, each of %d bytes: got %x, want %x", len(salt), i, n, blockSize, got, want)
		}
	}
	if len(bytes.Trim(digests[n*Size:], "\xee")) != 0 {
		t.Fatal("wrote behind the digests")
	}
	if !bytes.Equal(blocks, before) {
		t.Fatal("wrote to the blocks")
	}
}

// TestSalts: every length of salt, which decides what is in the chunks at the ends
// of a block.
func TestSalts(t *testing.T) {
	forEach(t, func(t *testing.T, list []implementation) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, blockSize := range []int{64, 512} {
			blocks := randomBytes(rng, (maxLanes+3)*blockSize)
			for size := range 257 {
				salt := randomBytes(rng, size)
				check(t, newWith(list, salt, blockSize), salt, blocks, blockSize)
			}
		}
	})
}

// TestCounts: every number of blocks up to three groups, with the same Hasher, at
// an address that is no multiple of anything.
func TestCounts(t *testing.T) {
	forEach(t, func(t *testing.T, list []implementation) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, blockSize := range []int{64, 128, 4096} {
			salt := randomBytes(rng, 32)
			h := newWith(list, salt, blockSize)
			blocks := randomBytes(rng, 3*maxLanes*blockSize+1)[1:]
			for n := range 3*maxLanes + 1 {
				check(t, h, salt, blocks[:n*blockSize], blockSize)
			}
		}
	})
}

// TestSizes: blocks of every size that dm-verity knows, and some that it does not.
func TestSizes(t *testing.T) {
	forEach(t, func(t *testing.T, list []implementation) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, blockSize := range []int{192, 1024, 8192, 64 * maxChunks, 64*maxChunks + 64, 16384, 65536, 512 << 10} {
			for _, size := range []int{0, 32, 55, 64} {
				salt := randomBytes(rng, size)
				check(t, newWith(list, salt, blockSize), salt, randomBytes(rng, maxLanes*blockSize), blockSize)
			}
		}
	})
}

// FuzzSum compares with crypto/sha256.
func FuzzSum(f *testing.F) {
	f.Add([]byte("salt"), []byte("block"), uint8(1), uint8(17))
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, 300), uint8(3), uint8(32))
	f.Fuzz(func(t *testing.T, salt, seed []byte, chunks, n uint8) {
		blockSize := 64 * (1 + int(chunks%70))
		size := int(n%50) * blockSize
		blocks := bytes.Repeat(append(seed, 0), size/(len(seed)+1)+1)[:size]
		for _, impl := range supported() {
			check(t, newWith([]implementation{impl}, salt, blockSize), salt, blocks, blockSize)
		}
		check(t, New(salt, blockSize), salt, blocks, blockSize)
	})
}

// TestSizeRefused: a block that is not made of chunks is a mistake of the caller's.
func TestSizeRefused(t *testing.T) {
	for _, blockSize := range []int{-64, 0, 63, 65} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("accepted blocks of %d bytes", blockSize)
				}
			}()
			New(nil, blockSize)
		}()
	}
}

func BenchmarkSum(b *testing.B) {
	const blockSize = 4096
	blocks, digests, salt := make([]byte, 32*blockSize), make([]byte, 32*Size), make([]byte, 32)
	run := func(name string, list []implementation) {
		b.Run(name, func(b *testing.B) {
			h := newWith(list, salt, blockSize)
			b.SetBytes(int64(len(blocks)))
			b.ReportAllocs()
			for b.Loop() {
				h.Sum(digests, blocks)
			}
		})
	}
	for _, impl := range supported() {
		run(impl.name, []implementation{impl})
	}
	run(portable, nil)
}

func ExampleHasher_Sum() {
	blocks := bytes.Repeat([]byte("block of sixteen"), 2*64/16)
	digests := make([]byte, 2*Size)
	New([]byte("salt"), 64).Sum(digests, blocks)
	fmt.Println(bytes.Equal(digests[:Size], digests[Size:]))
	// Output: true
}
