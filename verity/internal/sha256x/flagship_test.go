//go:build !purego && amd64

package sha256x

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// flags are what the kernel calls the CPU features of each implementation.
var flags = map[string][]string{
	"avx512-x16": {"avx512f", "avx512bw"},
	"sha-ni-x2":  {"sha_ni", "ssse3", "sse4_1"},
}

// TestNoneSkipped asks the kernel, not the code under test, what the CPU has: an
// implementation that the CPU can run may not be passed over, neither by New nor
// by the tests, and one that it cannot run may not be taken.
func TestNoneSkipped(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		if os.Getenv("SEALPART_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	has, first := strings.Fields(string(info)), portable
	for _, impl := range slices.Backward(assembly()) {
		want := true
		for _, flag := range flags[impl.name] {
			want = want && slices.Contains(has, flag)
		}
		if impl.supported != want {
			t.Errorf("%s: taken as supported: %v; the kernel says %v", impl.name, impl.supported, want)
		}
		if want {
			first = impl.name
		}
	}
	if Implementation() != first {
		t.Errorf("New takes %s where it could take %s", Implementation(), first)
	}
}

// TestNoGarbage: the loop over a disk must not feed the garbage collector.
func TestNoGarbage(t *testing.T) {
	blocks, digests := make([]byte, 35*512), make([]byte, 35*Size)
	h := New(make([]byte, 32), 512)
	if n := testing.AllocsPerRun(10, func() { h.Sum(digests, blocks) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
