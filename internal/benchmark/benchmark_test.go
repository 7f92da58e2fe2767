package benchmark_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/benchmark"
	"github.com/sealpart/sealpart/internal/xts"
)

// TestRun measures briefly: everything is there, and nothing takes no time.
func TestRun(t *testing.T) {
	r, err := benchmark.Run(time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * len(xts.Implementations()); len(r.Ciphers) != want {
		t.Errorf("%d ciphers, want %d", len(r.Ciphers), want)
	}
	if r.Ciphers[0].Implementation != xts.Implementation() {
		t.Errorf("%s comes first, a run takes %s", r.Ciphers[0].Implementation, xts.Implementation())
	}
	for _, c := range r.Ciphers {
		if c.Encrypt < 1e5 || c.Decrypt < 1e5 || c.Encrypt > 1e12 || c.Decrypt > 1e12 {
			t.Errorf("not a rate of any computer: %+v", c)
		}
	}
	for _, h := range r.Hashes {
		if h.Rate < 1e5 || h.Rate > 1e12 {
			t.Errorf("not a rate of any computer: %+v", h)
		}
	}
	if len(r.Hashes) != 2 || len(r.PBKDF2) != 2 || r.Argon2id.Memory == 0 {
		t.Errorf("incomplete: %+v", r)
	}
}

// TestScale holds a rate against a plain stopwatch: a factor forgotten, such as the
// size of the buffer, would be seen. The machine may be busy, so ours, which counts
// processor time, may be the larger by much.
func TestScale(t *testing.T) {
	k, err := benchmark.MeasurePBKDF2("sha256", 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := pbkdf2.Key(sha256.New, "benchmark", make([]byte, 32), 100_000, 32); err != nil {
		t.Fatal(err)
	}
	want := 100_000 / time.Since(start).Seconds()
	if k.Rate < want/4 || k.Rate > want*30 {
		t.Errorf("%.0f iterations a second; the stopwatch says %.0f", k.Rate, want)
	}
}

func TestUnknownImplementation(t *testing.T) {
	if _, err := benchmark.MeasureCipher("abacus", 256, 512, time.Millisecond); err == nil || !strings.Contains(err.Error(), `this CPU cannot run "abacus"`) {
		t.Errorf("measured what is not there: %v", err)
	}
}
