//go:build !purego && (amd64 || arm64)

package xts

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// flags are what the kernel calls the CPU features of each implementation.
var flags = map[string][]string{
	"vaes-avx512": {"avx512f", "avx512bw", "vaes", "vpclmulqdq"},
	"vaes-avx2":   {"aes", "avx2", "vaes", "vpclmulqdq"},
	"aesni":       {"aes"},
	"arm64-aes":   {"aes"},
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
	has := strings.Fields(string(info))
	if runtime.GOARCH == "arm64" && !slices.Contains(has, "Features") {
		t.Skip("the features in /proc/cpuinfo are those of another architecture")
	}
	for _, impl := range assembly() {
		want := true
		for _, flag := range flags[impl.name] {
			want = want && slices.Contains(has, flag)
		}
		if impl.supported != want {
			t.Errorf("%s: taken as supported: %v; the kernel says %v", impl.name, impl.supported, want)
		}
		if want {
			t.Logf("runs %s", impl.name)
		}
	}
}

// TestFastestFirst: New takes the first of the list that the CPU can run.
func TestFastestFirst(t *testing.T) {
	for _, impl := range implementations() {
		if impl.supported {
			if Implementation() != impl.name {
				t.Errorf("New takes %s where it could take %s", Implementation(), impl.name)
			}
			return
		}
	}
}

// TestNoGarbage: the loops over a disk must not feed the garbage collector.
func TestNoGarbage(t *testing.T) {
	buf := make([]byte, 64<<10)
	for _, impl := range assembly() {
		if !impl.supported {
			continue
		}
		c := newCipher(t, impl, repeated(64))
		if n := testing.AllocsPerRun(10, func() {
			c.Encrypt(buf, buf, 512, 7)
			c.Stream(buf, buf, 512, 7)
			c.Decrypt(buf, buf, 4096, 7)
		}); n != 0 {
			t.Errorf("%s: %v allocations", impl.name, n)
		}
	}
}
