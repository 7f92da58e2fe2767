package bench

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/benchmark"
	"github.com/sealpart/sealpart/internal/xts"
)

// cipherRow compares an implementation of AES-256-XTS, or the one that runs take,
// with OpenSSL over buffers of 16 KiB. Both count processor time.
func cipherRow(name, implementation string, sectorSize int, ratio float64) row {
	by := orFastest(implementation)
	return row{
		name: name, work: fmt.Sprintf("AES-256-XTS, %d-byte sectors (%s)", sectorSize, by), against: "openssl, 16 KiB buffers",
		program: "openssl", goal: goal{ratio: ratio}, show: aGigabyte,
		prepare: func(t *testing.T, _ *workshop) contest {
			if !slices.Contains(xts.Implementations(), by) {
				t.Skipf("this CPU has no %s", by)
			}
			return contest{
				ours: func(t testing.TB) sample {
					c, err := benchmark.MeasureCipher(by, 256, sectorSize, 500*time.Millisecond)
					check(t, err)
					return sample{seconds: 1e9 / c.Encrypt}
				},
				peer: opensslXTS,
			}
		},
	}
}

func orFastest(implementation string) string {
	if implementation == "" {
		return xts.Implementation()
	}
	return implementation
}

// opensslRate is the result line of openssl speed -mr, in bytes a second.
var opensslRate = regexp.MustCompile(`(?m)^\+F:\d+:AES-256-XTS:([0-9.]+)`)

func opensslXTS(t testing.TB) sample {
	_, out := run(t, "openssl", "speed", "-mr", "-evp", "aes-256-xts", "-bytes", "16384", "-seconds", "1")
	found := opensslRate.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no rate in what openssl speed says:\n%s", out)
	}
	rate, err := strconv.ParseFloat(found[1], 64)
	check(t, err)
	return sample{seconds: 1e9 / rate}
}

// TestFastPath asks the kernel what the CPU has, and wants the binary that people
// run to use it, and to gain by it.
func TestFastPath(t *testing.T) {
	want := wantedImplementation(t)
	_, out := run(t, binary(t), "version")
	if !strings.Contains(out, "aes-xts: "+want+"\n") {
		t.Fatalf("this CPU can run %s; the binary says:\n%s", want, out)
	}
	fast, err := benchmark.MeasureCipher(want, 256, 512, 50*time.Millisecond)
	check(t, err)
	slow, err := benchmark.MeasureCipher("portable", 256, 512, 50*time.Millisecond)
	check(t, err)
	if fast.Encrypt < 3*slow.Encrypt || fast.Decrypt < 3*slow.Decrypt {
		t.Errorf("the fast path is not fast: %+v against %+v", fast, slow)
	}
}

// wantedImplementation returns the fastest that the CPU should run.
func wantedImplementation(t testing.TB) string {
	info, err := os.ReadFile("/proc/cpuinfo")
	check(t, err)
	has := strings.Fields(string(info))
	fastest := []struct {
		name  string
		flags []string
	}{
		{"vaes-avx512", []string{"flags", "avx512f", "avx512bw", "vaes", "vpclmulqdq"}},
		{"vaes-avx2", []string{"flags", "avx2", "vaes", "vpclmulqdq"}},
		{"aesni", []string{"flags", "aes"}},
		{"arm64-aes", []string{"Features", "aes"}},
	}
	for _, f := range fastest {
		if !slices.ContainsFunc(f.flags, func(flag string) bool { return !slices.Contains(has, flag) }) {
			return f.name
		}
	}
	t.Skip("this CPU has no fast path")
	return ""
}
