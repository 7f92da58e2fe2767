package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// Exit codes, part of the command's contract.
const (
	exitDone         = 0
	exitError        = 1
	exitUsage        = 2
	exitInterrupted  = 3
	exitStale        = 4
	exitPending      = 5
	exitUntouched    = 6
	exitNoRootDisk   = 76
	exitLabelRefused = 77
	exitSignal       = 128 // plus the number of a second signal
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errPending is no failure: plan --detailed-exitcode found something to do.
var errPending = errors.New("changes pending")

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var usage usageError
	var untouched untouchedError
	var stopped stoppedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &stopped):
		return exitInterrupted
	case errors.As(err, &untouched):
		return exitUntouched
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, executor.ErrInterrupted):
		return exitInterrupted
	case errors.Is(err, executor.ErrStale):
		return exitStale
	case errors.Is(err, errPending):
		return exitPending
	case errors.Is(err, host.ErrNoRootDisk):
		return exitNoRootDisk
	case errors.Is(err, planner.ErrLabelRefused):
		return exitLabelRefused
	default:
		return exitError
	}
}

// hinter is an error that knows what to do next.
type hinter interface{ Hint() string }

// sayError prints what went wrong and what to do next: errors first, hints last,
// each on lines of their own.
func sayError(w io.Writer, err error) {
	if errors.Is(err, errPending) {
		return
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), "\t", " "), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	fmt.Fprintf(w, "sealpart: error: %s\n", strings.Join(lines, "\n  "))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "sealpart: hint: %s\n", hint)
	}
}

// hintFor returns the next step, from the error itself or for what it is.
func hintFor(err error) string {
	var h hinter
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, executor.ErrStale):
		return "something else wrote to the disk meanwhile; look at \"sealpart plan\" again, then apply"
	case errors.Is(err, executor.ErrInterrupted):
		return "nothing is lost; \"sealpart apply\" goes on where it stopped"
	case errors.Is(err, luks2.ErrReencryption):
		return "something else changed the volume's header, and going on could destroy or reveal data; restore the header from a backup"
	case errors.Is(err, tpm2.ErrForeignTPM):
		return "open it by another key (--key-file), or name the TPM it was sealed to (--tpm2-device); \"sealpart key add\" seals to this one, \"key remove\" takes the old keyslot away"
	case errors.Is(err, tpm2.ErrPIN):
		return "each wrong PIN costs a try of the TPM's; where several of its keys have one, say of which keyslot N yours is: --pin=N=SOURCE"
	case errors.Is(err, tpm2.ErrPolicy):
		return "boot what was booted then, or open it by another key (--key-file) and seal anew with \"sealpart key rotate\""
	case errors.Is(err, executor.ErrNoKey):
		return "give the key with --key-file=FILE, or the TPM it was sealed to with --tpm2-device=DEVICE"
	case errors.Is(err, executor.ErrAbsent):
		return "bring what is missing, or say where it is with --tpm2-device or --key-file; unavailable = \"leave\" lets machines without it stay as they are"
	case errors.Is(err, host.ErrNoRootDisk):
		return "name the disk as an argument"
	default:
		return ""
	}
}
