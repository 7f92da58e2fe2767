package recovery

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/sealpart/sealpart/internal/secret"
	"golang.org/x/sys/unix"
	"rsc.io/qr"
)

// noTerminalError says that there is nobody to show the key to.
type noTerminalError struct{ error }

func (noTerminalError) Error() string {
	return "there is no terminal to show the recovery key on"
}

func (e noTerminalError) Unwrap() error { return e.error }

// Hint says what else can be done with it.
func (noTerminalError) Hint() string {
	return "let its definition say where it goes: escrow = \"age1…\", or path = \"…\""
}

// show writes the key to the terminal, as text and as a QR code. It goes nowhere else:
// standard output and error may be somebody's log.
func show(terminal string, key *secret.Buffer) error {
	tty, err := os.OpenFile(terminal, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return noTerminalError{err}
	}
	defer tty.Close()
	if _, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil {
		return noTerminalError{err}
	}
	return write(tty, key)
}

// write writes the key for people.
func write(w io.Writer, key *secret.Buffer) error {
	code, err := halfBlocks(key)
	if err != nil {
		return err
	}
	defer code.Wipe()
	var errs []error
	for _, part := range [][]byte{
		[]byte("\n    recovery key:  "), key.Bytes(),
		[]byte("\n\n    Keep it in a safe place, away from this machine: it is not shown again. It opens\n" +
			"    the volume when this run is done, in upper or lower case, with or without dashes.\n\n"),
		code.Bytes(), []byte("\n"),
	} {
		_, err := w.Write(part)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("show the recovery key: %w", err)
	}
	return nil
}

// quiet is the light margin around a QR code, in modules (ISO/IEC 18004, section 9.1,
// asks for 4; half of it, as all that draw on terminals have it, is read well).
const quiet = 2

// halfBlocks draws a QR code of the key, two rows of it in one line of characters. Light
// is drawn and dark left out, for terminals are dark.
func halfBlocks(key *secret.Buffer) (*secret.Buffer, error) {
	// A view, no copy: strings cannot be wiped. What the encoder keeps of it are bits
	// in an order of its own.
	code, err := qr.Encode(unsafe.String(&key.Bytes()[0], len(key.Bytes())), qr.L)
	if err != nil {
		return nil, fmt.Errorf("QR code of the recovery key: %w", err)
	}
	light := func(x, y int) bool { return y < code.Size+quiet && !code.Black(x, y) }
	const longest = len("█")
	lines := (code.Size + 2*quiet + 1) / 2
	drawn, err := secret.New(lines * ((code.Size+2*quiet)*longest + len("    \n")))
	if err != nil {
		return nil, err
	}
	text := drawn.Bytes()[:0]
	for y := -quiet; y < code.Size+quiet; y += 2 {
		text = append(text, "    "...)
		for x := -quiet; x < code.Size+quiet; x++ {
			text = append(text, block(light(x, y), light(x, y+1))...)
		}
		text = append(text, '\n')
	}
	return drawn.Cut(len(text)), nil
}

// block returns the character whose halves are light or not.
func block(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
