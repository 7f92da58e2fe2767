package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/keyfile"
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
	keyfile.ShowTyping()
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
