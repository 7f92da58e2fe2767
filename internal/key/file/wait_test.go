package file

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// TestNothingToRead: whatever a key file is, the end of the context ends the wait for what
// never comes.
func TestNothingToRead(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, c := range map[string]struct {
		sealer Sealer
		path   string
	}{
		"key file":       {Sealer{}, fifo},
		"--key-file":     {Sealer{Default: fifo}, ""},
		"standard input": {Sealer{Input: NewInput(r)}, Stdin},
	} {
		testenv.EndsWithContext(t, name, func(ctx context.Context) error {
			_, err := c.sealer.Unseal(ctx, definitions.Key{Type: definitions.KeyFile, Path: c.path}, nil)
			return err
		})
	}
}
