package verity_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpart/sealpart/verity"
)

func encoded(t testing.TB, sb verity.Superblock) []byte {
	t.Helper()
	b, err := sb.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuperblockRefused(t *testing.T) {
	put32 := func(offset int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[offset:], v) }
	}
	put64 := func(v uint64) func([]byte) { return func(b []byte) { binary.LittleEndian.PutUint64(b[72:], v) } }
	for name, damage := range map[string]func([]byte){
		"version 0":               put32(8, 0),
		"version 2":               put32(8, 2),
		"chrome os hash type":     put32(12, 0),
		"hash type 2":             put32(12, 2),
		"unknown hash":            func(b []byte) { copy(b[32:], "md5\x00\x00\x00") },
		"no hash":                 func(b []byte) { clear(b[32:64]) },
		"bytes after the hash":    func(b []byte) { b[63] = 'x' },
		"hash name without end":   func(b []byte) { copy(b[32:64], bytes.Repeat([]byte{'s'}, 32)) },
		"data blocks of 256":      put32(64, 256),
		"data blocks of 4095":     put32(64, 4095),
		"data blocks of 1 MiB":    put32(64, 1<<20),
		"hash blocks of 0":        put32(68, 0),
		"hash blocks of 2^31":     put32(68, 1<<31),
		"no data blocks":          put64(0),
		"more data than a device": put64(math.MaxInt64/512 + 1),
		"2^64-1 data blocks":      put64(math.MaxUint64),
		"salt of 257 bytes":       func(b []byte) { binary.LittleEndian.PutUint16(b[80:], 257) },
	} {
		b := encoded(t, small)
		damage(b)
		if sb, err := verity.DecodeSuperblock(b); err == nil || errors.Is(err, verity.ErrNoSuperblock) {
			t.Errorf("%s: got %v, %v; want a reason to refuse it", name, sb, err)
		}
	}
	if _, err := verity.DecodeSuperblock(make([]byte, 512)); !errors.Is(err, verity.ErrNoSuperblock) {
		t.Errorf("zeros: %v", err)
	}
	if _, err := verity.DecodeSuperblock(encoded(t, small)[:511]); err == nil || !strings.Contains(err.Error(), "511 bytes: must be 512") {
		t.Errorf("accepted 511 bytes: %v", err)
	}
}

func TestTreeSizeRefuses(t *testing.T) {
	for _, bad := range []struct {
		size       int64
		data, hash int
		algorithm  string
		want       string
	}{
		{0, 4096, 4096, "sha256", "0 data blocks of 4096 bytes: must be at least one and fit a device"},
		{4095, 4096, 4096, "sha256", "0 data blocks of 4096 bytes: must be at least one and fit a device"},
		{-4096, 4096, 4096, "sha256", "-1 data blocks of 4096 bytes: must be at least one and fit a device"},
		{4096, 0, 4096, "sha256", "data block size 0: must be a power of two from 512 to 524288"},
		{4096, 4096, 1000, "sha256", "hash block size 1000: must be a power of two from 512 to 524288"},
		{4096, 4096, 4096, "md4", `hash algorithm "md4": must be sha256`},
	} {
		if size, err := verity.TreeSize(bad.size, bad.data, bad.hash, bad.algorithm); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %d, %v", bad, size, err)
		}
	}
	if size, err := verity.TreeSize(math.MaxInt64, 512, 512, "sha512"); err != nil || size <= 0 {
		t.Errorf("the largest device: %d, %v", size, err)
	}
}

func FuzzSuperblock(f *testing.F) {
	f.Add(encoded(f, small))
	f.Add([]byte("verity\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sb, err := verity.DecodeSuperblock(b)
		if err != nil {
			return
		}
		again, err := verity.DecodeSuperblock(encoded(t, sb))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sb, again); diff != "" {
			t.Errorf("encoded and decoded again:\n%s", diff)
		}
		if size, err := sb.TreeSize(); err != nil || size <= 0 {
			t.Errorf("tree size %d: %v", size, err)
		}
	})
}
