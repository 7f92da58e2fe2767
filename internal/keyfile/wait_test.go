package keyfile

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"golang.org/x/sys/unix"
)

// TestNothingToRead: whatever a key is read from, the end of the context ends the wait for
// what never comes.
func TestNothingToRead(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	file := func(s Sealer, path string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.Unseal(ctx, definitions.Key{Type: definitions.KeyFile, Path: path}, nil)
			return err
		}
	}
	for name, read := range map[string]func(context.Context) error{
		"key file":       file(Sealer{}, fifo),
		"--key-file":     file(Sealer{Default: fifo}, ""),
		"standard input": file(Sealer{Input: NewInput(r)}, Stdin),
		"file source":    func(ctx context.Context) error { _, err := Source(ctx, "file:"+fifo); return err },
		"socket":         func(ctx context.Context) error { _, err := Source(ctx, "socket:"+socket); return err },
		"PIN":            func(ctx context.Context) error { _, err := new(PINs).Read(ctx, "file:"+fifo, false); return err },
	} {
		why := errors.New("asked to stop")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
		ended := make(chan error, 1)
		go func() { ended <- read(ctx) }()
		select {
		case err := <-ended:
			if !errors.Is(err, why) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: still waits", name)
		}
		cancel()
	}
}

// TestFIFO: one whose other end comes late gives all of its key.
func TestFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(200 * time.Millisecond)
		file, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer file.Close()
		_, _ = file.WriteString("first ")
		time.Sleep(200 * time.Millisecond)
		_, _ = file.WriteString("second")
	}()
	key, err := Source(t.Context(), "file:"+fifo)
	if err != nil || string(key.Bytes()) != "first second" {
		t.Fatal(err)
	}
}
