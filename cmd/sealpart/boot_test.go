package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner"
)

// TestBootErrors: a boot goes on, and resumes, where a system is hibernated; where two
// devices answer to one name it stops.
func TestBootErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{&planner.HibernatedError{Path: "/dev/sda", Where: []string{"/dev/sdb1"}}, exitUntouched},
		{fmt.Errorf("10-root.toml: a key: %w", &host.TwinsError{Name: "/dev/disk/by-label/keys"}), exitError},
		{fmt.Errorf("%w: none", host.ErrNoRootDisk), exitNoRootDisk},
	} {
		if code := exitCode(asBootError(c.err)); code != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, code, c.code)
		}
	}
}

// TestKeyPaths: all that keys are read from is looked at.
func TestKeyPaths(t *testing.T) {
	d := definitions.Definition{Encryption: &definitions.Encryption{
		ExistingKey: "file:/dev/disk/by-label/vendor", Keys: []definitions.Key{{Path: "/dev/disk/by-label/keys"}},
	}}
	if got := keyPaths(d); !slices.Equal(got, []string{"/dev/disk/by-label/keys", "/dev/disk/by-label/vendor"}) {
		t.Errorf("paths are %v", got)
	}
}

// TestWhatProgramsWriteCounts: once a program has written for a run, it does not say that
// nothing was written.
func TestWhatProgramsWriteCounts(t *testing.T) {
	var onto target
	if onto.changed.Load() {
		t.Error("changed before anything was done")
	}
	onto.Touch()
	if !onto.changed.Load() {
		t.Error("not changed by what a program wrote")
	}
}
