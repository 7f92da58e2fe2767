package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
)

// How sealpart runs in an initramfs (--boot), before the root file system is mounted.
// The scripts in initramfs/ all call "sealpart apply --boot"; what is the same for all
// of them is here.

// How long --boot waits for the disk, as long as systemd does for a device; for the one
// that the machine resumes from and, where it does, for that; and for a TPM that the
// firmware announces.
const (
	diskPatience   = 90 * time.Second
	resumePatience = 90 * time.Second
	resumePause    = 100 * time.Millisecond
	resumeGrace    = 2 * time.Second
	tpmPatience    = 30 * time.Second
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
		path, err := host.BootDisk(ctx, diskPatience, namesOn)
		if err != nil {
			return nil, err
		}
		args, f.found = []string{path}, true
	}
	if slices.ContainsFunc(w.definitions, wantsTPM2) {
		host.AwaitTPM2(ctx, tpmPatience)
	}
	return args, nil
}

// namesOn lists the names, as in fstab(5), of the partitions of a disk and of what is in
// them. A disk that cannot be read has none.
func namesOn(path string) (names []string) {
	snapshot, err := look(path, 0, probe.Partitions)
	if err != nil {
		return nil
	}
	add := func(tag, value string) {
		if value != "" {
			names = append(names, tag+"="+value)
		}
	}
	for _, p := range append(snapshot.Partitions, disk.Partition{Content: snapshot.Content}) {
		add("UUID", p.Content.UUID)
		add("LABEL", p.Content.Label)
		add("PARTLABEL", p.Name)
		if p.UUID != uuid.Nil {
			add("PARTUUID", p.UUID.String())
		}
	}
	return names
}

// settle waits for what has to come before the first write of a boot: the device that
// the machine resumes from, whether a system is hibernated there or not, and systemd's
// try to resume it. Disks that came meanwhile may answer to the name of the root, too.
func (f *planFlags) settle(ctx context.Context, path string) error {
	host.AwaitResumeDevice(ctx, resumePatience)
	if host.ResumesBeside() {
		if err := outlastResume(ctx); err != nil {
			return err
		}
	}
	if !f.found {
		return nil
	}
	again, err := host.BootDisk(ctx, 0, namesOn)
	if err == nil && again != path {
		err = fmt.Errorf("the disk of the root file system was %s, and is %s now", path, again)
	}
	return err
}

// outlastResume waits until a resume that runs beside this process has been tried. The
// kernel first takes the signature away, then stops all processes, and only then reads
// what was hibernated: without a signature, too, some time must pass in which it could
// stop this one. After a resume nobody is here any more.
func outlastResume(ctx context.Context) error {
	for end := time.Now().Add(resumePatience); len(hibernated()) > 0 && time.Now().Before(end); {
		if err := pause(ctx, resumePause); err != nil {
			return err
		}
	}
	return pause(ctx, resumeGrace)
}

// pause waits, or fails when ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// wantsTPM2 reports whether a definition has a key that a TPM seals, or asks for one.
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
// does not say unavailable = "leave"; there is no disk to boot from, or there are two, or
// two devices with a key, of which one may be an attacker's; or the command line makes no sense.
func asBootError(err error) error {
	var changed changedError
	var unavailable *executor.UnavailableError
	var usage usageError
	var twins *host.TwinsError
	switch {
	case err == nil, errors.As(err, &changed), errors.As(err, &unavailable), errors.As(err, &usage), errors.As(err, &twins),
		errors.Is(err, executor.ErrInterrupted), errors.Is(err, host.ErrNoRootDisk):
		return err
	}
	return untouchedError{err}
}
