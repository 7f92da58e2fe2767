package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudoterminal returns both ends of one (pty(7)).
func pseudoterminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return person, tty
}

// TestAsk: the line is the key, nothing of it is shown, and the terminal shows what is
// typed again afterwards.
func TestAsk(t *testing.T) {
	person, tty := pseudoterminal(t)
	shown := make([]byte, 100)
	typed := make(chan error, 1)
	go func() {
		n, err := person.Read(shown) // the question; what comes before it is flushed
		shown = shown[:n]
		if err == nil {
			_, err = person.WriteString("correct horse\nnext line\n")
		}
		typed <- err
	}()
	key, err := askOn(t.Context(), tty, "passphrase: ")
	if err != nil || string(key.Bytes()) != "correct horse" {
		t.Fatalf("%v", err)
	}
	key.Wipe()
	if err := <-typed; err != nil || string(shown) != "passphrase: " {
		t.Errorf("%q, %v", shown, err)
	}
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || after.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal still hides what is typed (%v)", err)
	}
	rest := make([]byte, 100)
	n, err := person.Read(rest)
	if err != nil || bytes.Contains(rest[:n], []byte("horse")) {
		t.Errorf("shown: %q, %v", rest[:n], err)
	}
}

// TestAskEnds: without an answer it ends with its context, without one of any length
// or on what is no terminal with an error.
func TestAskEnds(t *testing.T) {
	person, tty := pseudoterminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := askOn(ctx, tty, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody there: %v", err)
	}
	go func() {
		time.Sleep(100 * time.Millisecond)
		_, _ = person.WriteString("\n")
	}()
	if _, err := askOn(t.Context(), tty, ""); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty line: %v", err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := askOn(t.Context(), file, ""); !errors.Is(err, errNoTerminal) {
		t.Errorf("a file: %v", err)
	}
}

// TestSocket: a socket gives the key of whoever listens, and one that is silent or
// talks without end an error.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	serve := func(what string) {
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				_, _ = conn.Write([]byte(what))
				_ = conn.Close()
			}
		}()
	}
	serve("from the socket")
	key, err := Read(t.Context(), "socket:"+path)
	if err != nil || string(key.Bytes()) != "from the socket" {
		t.Fatalf("%v", err)
	}
	serve("")
	if _, err := Read(t.Context(), "socket:"+path); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("silent: %v", err)
	}
	serve(strings.Repeat("x", maxSize+1))
	if _, err := Read(t.Context(), "socket:"+path); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("without end: %v", err)
	}
	if _, err := Read(t.Context(), "socket:"+path+"2"); err == nil || !strings.Contains(err.Error(), "connect: no such file or directory") {
		t.Errorf("nobody listens, and there is a key: %v", err)
	}
}
