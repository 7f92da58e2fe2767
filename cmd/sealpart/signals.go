package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/key/source"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// stopSignals are those by which a person, a terminal that goes or a service manager ends a
// program. Left alone, SIGQUIT would have Go print where everything stands.
var stopSignals = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT}

// signalled is why a run ends early.
type signalled struct{ unix.Signal }

// Error names the signal.
func (s signalled) Error() string { return "stopped by " + unix.SignalName(s.Signal) }

// Is reports that it is the end of a context, for those who know nothing of signals.
func (signalled) Is(target error) bool { return target == context.Canceled }

// untilSignal returns a context that the first signal ends: work stops at the next commit
// point, all waiting at once. The second ends the program, with the exit code of a shell for
// it; what that leaves is what a power cut leaves. Signals that whoever started us wants
// ignored, as nohup does, stay so.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	for _, s := range slices.DeleteFunc(slices.Clone(stopSignals), signal.Ignored) {
		signal.Notify(signals, s)
	}
	go func() {
		first, _ := (<-signals).(unix.Signal)
		cancel(signalled{first})
		second, _ := (<-signals).(unix.Signal)
		exit(exitSignal + int(second))
	}()
	return ctx
}

// exit ends the program, whatever still goes on in it, and leaves a terminal that shows what
// is typed.
func exit(code int) {
	source.ShowTyping()
	os.Exit(code)
}

// stoppedError is the end of what a signal stopped before it had begun to write, or behind
// what it had to have written.
type stoppedError struct{ error }

func (e stoppedError) Error() string { return "interrupted: " + e.error.Error() }
func (e stoppedError) Unwrap() error { return e.error }

// Hint says that to stop was safe.
func (e stoppedError) Hint() string {
	if errors.As(e.error, new(changedError)) {
		return "run it again: what was begun is finished, or made anew"
	}
	return "nothing was written; run it again"
}

// asStopped marks what ended because ctx did.
func asStopped(ctx context.Context, err error) error {
	ended := ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()))
	if !ended || errors.Is(err, executor.ErrInterrupted) {
		return err
	}
	return stoppedError{err}
}

// readOnly makes of a command one that a signal ends wherever it is. It is for those that
// write nothing: there is nothing that had to be brought to an end.
func readOnly(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		_, err := abandon.Call(ctx, func() (struct{}, error) { return struct{}{}, run(cmd, args) }, func(struct{}) {})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return cmd
}

// stoppable is readOnly for a command that writes files of its own: a signal ends it wherever
// it is, though a disk or a file never answers, and what it was making is taken away.
func stoppable(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var making unfinished
		ctx := context.WithValue(cmd.Context(), unfinishedKey{}, &making)
		cmd.SetContext(ctx)
		_, err := abandon.Call(ctx, func() (struct{}, error) { return struct{}{}, run(cmd, args) }, func(struct{}) {})
		if err == nil || ctx.Err() == nil {
			return err
		}
		if err = errors.Join(err, making.remove()); making.begun.Load() && !errors.As(err, new(changedError)) {
			err = changedError{err}
		}
		return err
	}
	return cmd
}

// unfinished is what a command is making.
type unfinished struct {
	mu    sync.Mutex
	files []*newFile
	begun atomic.Bool // something that was there before is being written over
}

// unfinishedKey is under what a context has them.
type unfinishedKey struct{}

// unfinishedOf returns those of a command.
func unfinishedOf(ctx context.Context) *unfinished {
	if u, ok := ctx.Value(unfinishedKey{}).(*unfinished); ok {
		return u
	}
	return new(unfinished)
}

// begin notes that what was there before is written over from here on.
func (u *unfinished) begin() { u.begun.Store(true) }

// add notes that a file is being made.
func (u *unfinished) add(f *newFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = append(u.files, f)
}

// done notes that it is finished, or taken away.
func (u *unfinished) done(f *newFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files = slices.DeleteFunc(u.files, func(one *newFile) bool { return one == f })
}

// remove takes them away.
func (u *unfinished) remove() (err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.files {
		err = errors.Join(err, f.remove())
	}
	u.files = nil
	return err
}
