package bench

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

var (
	full     = flag.Bool("full", false, "measure with the sizes of the table, not with little data")
	pairs    = flag.Int("pairs", 5, "with -full: alternating runs of ours and the peer")
	sealpart = flag.String("sealpart", "", "the binary to measure; empty: build it")
)

// rows are the table, in its order.
var rows = []row{
	cipherRow("aes-xts-512", "", 512, 1.25),
	cipherRow("aes-xts-4096", "", 4096, 1.3),
	cipherRow("aes-xts-aesni", "aesni", 512, 0.9),
	convertRow("convert-tmpfs", memory, cryptsetupEncrypt, 4),
	convertRow("convert-disk", storage, cryptsetupEncrypt, 1.8),
	convertRow("convert-disk-limit", storage, plainRewrite, 0.7),
	rekeyRow,
	discardRow,
	imageRow,
	verityRow,
	planRow,
	bootRow,
	snapshotsRow,
	sizeRow,
}

// TestBench measures row after row.
func TestBench(t *testing.T) {
	var out io.Writer = os.Stdout
	if !*full {
		out, *pairs = t.Output(), 1
	}
	w := &workshop{sealpart: binary(t), full: *full, pairs: *pairs}
	describe(out)
	if !w.full {
		fmt.Fprintln(out, "little data, once: the figures mean nothing")
	}
	var results []result
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			done := result{row: r, remark: "failed"}
			defer func() {
				if t.Failed() {
					done.remark = "failed"
				}
				fmt.Fprintln(out, done.line())
				results = append(results, done)
			}()
			w.measure(t, r, &done)
		})
	}
	table(out, results)
}

// binary returns the path of the program to measure.
func binary(t testing.TB) string {
	path, err := filepath.Abs(*sealpart)
	if *sealpart == "" {
		path = filepath.Join(t.TempDir(), "sealpart")
		cmd := exec.Command(testenv.Need(t, "go"), "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../../cmd/sealpart")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
