package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// How sealpart runs in an initramfs (--boot), before the root file system is mounted.
// The scripts in initramfs/ all call "sealpart apply --boot"; what is the same for all
// of them is here.

// How long --boot waits for the disk, as long as systemd does for a device, and for a
// TPM that the firmware announces.
const (
	diskPatience = 90 * time.Second
	tpmPatience  = 30 * time.Second
)

// bootTempDir takes file systems in the making: an initramfs has it, in memory, where
// it may have no /tmp.
const bootTempDir = "/run"

// atBoot does what the kernel command line says, and returns the arguments to go on
// with: the disk, or none where there is nothing to be done.
func (f *planFlags) atBoot(ctx context.Context, args []string) ([]string, error) {
	line := host.ReadCommandLine()
	switch value, ok := line.Value("sealpart"); {
	case ok && value == "0":
		return nil, nil
	case ok && value != "1":
		return nil, fmt.Errorf("sealpart=%s on the kernel command line: use 0 or 1", value)
	}
	if dir, ok := line.Value("sealpart.definitions"); ok {
		f.definitions = []string{dir}
	}
	w, err := gather(f)
	if err != nil || len(w.definitions) == 0 {
		return nil, err
	}
	if len(args) == 0 {
		path, err := host.BootDisk(ctx, diskPatience, holdsNamed)
		if err != nil {
			return nil, err
		}
		args = []string{path}
	}
	if slices.ContainsFunc(w.definitions, wantsTPM2) {
		host.AwaitTPM2(ctx, tpmPatience)
	}
	return args, nil
}

// holdsNamed tells whether a partition of a disk, or what it holds, has one of the names
// as in fstab(5).
func holdsNamed(path string, names []string) bool {
	snapshot, err := look(path, 0)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(snapshot.Partitions, func(p disk.Partition) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			tag, value, _ := strings.Cut(name, "=")
			switch tag {
			case "UUID":
				return value == p.Content.UUID
			case "LABEL":
				return value == p.Content.Label
			case "PARTUUID":
				return strings.EqualFold(value, p.UUID.String())
			case "PARTLABEL":
				return value == p.Name
			}
			return false
		})
	})
}

// wantsTPM2 tells whether a definition has a key that a TPM seals, or asks for one.
func wantsTPM2(d definitions.Definition) bool {
	if d.Conditions != nil && d.Conditions.TPM2 != nil {
		return true
	}
	return d.Encryption != nil && slices.ContainsFunc(d.Encryption.Keys, func(k definitions.Key) bool {
		return k.Type == definitions.KeyTPM2
	})
}

// obeyKernel takes over what the kernel command line says of how a run is watched. The
// console of a boot shows lines of ours between others'.
func (f *applyFlags) obeyKernel(diagnostics io.Writer) {
	if device, ok := host.ReadCommandLine().Value("sealpart.watchdog"); ok {
		f.watchdog = device
	}
	if f.progress == "auto" && !isTerminal(diagnostics) {
		f.progress = "lines"
	}
}

// changedError is an error that came after something was written to the disk.
type changedError struct{ error }

func (e changedError) Unwrap() error { return e.error }

// untouchedError is an error of a boot that can go on: the disk is as it was.
type untouchedError struct{ error }

func (e untouchedError) Unwrap() error { return e.error }

// Hint adds to the next step that the machine boots.
func (e untouchedError) Hint() string {
	const boots = "nothing was written; the boot goes on with the disk as it is"
	if hint := hintFor(e.error); hint != "" {
		return hint + "; " + boots
	}
	return boots
}

// asBootError tells the errors after which a boot can go on from those after which it
// must stop: something was written already; the keys cannot be used and the definition
// does not say unavailable = "leave"; there is no disk to boot from; or the command
// line makes no sense.
func asBootError(err error) error {
	var changed changedError
	var unavailable *executor.UnavailableError
	var usage usageError
	switch {
	case err == nil, errors.As(err, &changed), errors.As(err, &unavailable), errors.As(err, &usage),
		errors.Is(err, executor.ErrInterrupted), errors.Is(err, host.ErrNoRootDisk):
		return err
	}
	return untouchedError{err}
}
