package source

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/internal/testenv"
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
	for name, read := range map[string]func(context.Context) error{
		"file source": func(ctx context.Context) error { _, err := Read(ctx, "file:"+fifo); return err },
		"socket":      func(ctx context.Context) error { _, err := Read(ctx, "socket:"+socket); return err },
		"PIN":         func(ctx context.Context) error { _, err := new(PINs).Read(ctx, "file:"+fifo, false); return err },
	} {
		testenv.EndsWithContext(t, name, read)
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
	key, err := Read(t.Context(), "file:"+fifo)
	if err != nil || string(key.Bytes()) != "first second" {
		t.Fatal(err)
	}
}
