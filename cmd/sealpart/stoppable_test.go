package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// TestStoppable: a command that hangs in a read of a disk that does not answer ends by a signal
// all the same, and what it was making is gone; a file that it had finished stays.
func TestStoppable(t *testing.T) {
	dir := t.TempDir()
	hung := make(chan struct{})
	defer close(hung)
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd := stoppable(&cobra.Command{RunE: func(cmd *cobra.Command, _ []string) error {
		making := unfinishedOf(cmd.Context())
		for _, name := range []string{"finished", "half"} {
			file, err := createFile(filepath.Join(dir, name), 0o600)
			if err != nil {
				return err
			}
			if making.add(file); name == "finished" {
				making.done(file)
			}
		}
		making.begin()
		cancel(signalled{unix.SIGTERM})
		<-hung
		return nil
	}})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(nil)
	err := asStopped(ctx, cmd.ExecuteContext(ctx))
	if exitCode(err) != exitInterrupted || err.Error() != "interrupted: stopped by SIGTERM" || !errors.As(err, new(changedError)) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was being made: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "finished")); err != nil {
		t.Error(err)
	}
}

// TestAnsweringCommandsEndBySignal: every command that only reads, or makes files of its own,
// is one that a signal ends wherever it is.
func TestAnsweringCommandsEndBySignal(t *testing.T) {
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalled{unix.SIGTERM})
	for _, args := range [][]string{
		{"plan", image}, {"inspect", image}, {"export", image + "#1", "x"}, {"header", "backup", image + "#1", "x"}, {"header", "restore", image + "#1", image},
		{"key", "list", image + "#1"}, {"key", "test", image + "#1"}, {"key", "remove", image + "#1", "0"}, {"verity", "format", image, image + ".tree"}, {"verity", "verify", image, image, "00"}, {"verity", "dump", image},
	} {
		if code := Main(ctx, args, t.Output(), t.Output()); code != exitInterrupted {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}
