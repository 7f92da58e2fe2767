package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/sealpart/sealpart/internal/secret"
	"golang.org/x/sys/unix"
)

// terminal is where whoever started us sits, whatever standard input is.
const terminal = "/dev/tty"

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New(`key source "ask": there is no terminal to ask on; name a file:, credential:, socket: or fd: instead`)

// maxTyped is the longest line that a terminal hands over at once (termios(3), "Canonical
// and noncanonical mode").
const maxTyped = 4096

// ask returns a line typed at the terminal, which does not show it.
func ask(ctx context.Context, prompt string) (*secret.Buffer, error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errNoTerminal, err)
	}
	defer tty.Close()
	return askOn(ctx, tty, prompt)
}

// askOn asks on an open terminal.
func askOn(ctx context.Context, tty *os.File, prompt string) (*secret.Buffer, error) {
	if err := hide(tty); err != nil {
		return nil, fmt.Errorf("%w (%w)", errNoTerminal, err)
	}
	defer ShowTyping()
	if _, err := tty.WriteString(prompt); err != nil {
		return nil, err
	}
	defer func() { _, _ = tty.WriteString("\n") }() // the one that was typed was not shown
	return readLine(ctx, tty)
}

// hidden has the terminal show what is typed again; nil where it does.
var hidden struct {
	sync.Mutex
	restore func()
}

// ShowTyping has the terminal show what is typed, where a question is open; what was typed
// and not read is forgotten. The end of a program that does not wait for the answer calls it.
func ShowTyping() {
	hidden.Lock()
	defer hidden.Unlock()
	if hidden.restore != nil {
		hidden.restore()
		hidden.restore = nil
	}
}

// hide turns off that the terminal shows what is typed, until ShowTyping.
func hide(tty *os.File) error {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	hidden.Lock()
	hidden.restore = func() { // without waiting for what is still to be shown: that may never end
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
		_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
	}
	hidden.Unlock()
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	// What was typed before the question is no answer to it: flushed (TCSETSF).
	return unix.IoctlSetTermios(fd, unix.TCSETSF, &silent)
}

// readLine reads a line without its end into locked memory.
func readLine(ctx context.Context, tty *os.File) (*secret.Buffer, error) {
	room, err := secret.New(maxTyped)
	if err != nil {
		return nil, err
	}
	defer room.Wipe()
	for n := 0; n < maxTyped; {
		if err := waitFor(ctx, tty); err != nil {
			return nil, err
		}
		// A byte at a time: what lies behind the line is not for us.
		got, err := unix.Read(int(tty.Fd()), room.Bytes()[n:n+1])
		switch {
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: terminal, Err: err}
		case got == 0 || room.Bytes()[n] == '\n':
			return trim(room, n, "typed at the terminal")
		}
		n++
	}
	return nil, fmt.Errorf("a passphrase of more than %d bytes cannot be typed", maxTyped)
}

// waitFor waits until there is something to read, or ctx is done.
func waitFor(ctx context.Context, from *os.File) error {
	const pause = 100 // milliseconds
	for {
		poll := []unix.PollFd{{Fd: int32(from.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, pause)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case n > 0:
			return nil
		}
	}
}
