// Command sealpart compares partition definitions with a disk and makes the disk
// what they say, converting partitions that hold data in place.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

func main() {
	if err := forbidDumps(); err != nil {
		sayError(os.Stderr, err)
		os.Exit(exitError)
	}
	exit(Main(untilSignal(), os.Args[1:], os.Stdout, os.Stderr))
}

// forbidDumps keeps keys out of core dumps, and other processes of the same user
// from reading them in our memory. Buffers of keys are left out of dumps by
// themselves, but not what cipher and KDF keep while they work. It costs those
// processes, also the programs we start, the view of /proc/OUR-PID/fd and its like;
// /proc/self stays.
func forbidDumps() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

// Main runs the command with the given arguments and returns its exit code.
func Main(ctx context.Context, args []string, out, diagnostics io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(diagnostics)
	err := asStopped(ctx, root.ExecuteContext(ctx))
	if err != nil {
		sayError(diagnostics, err)
	}
	return exitCode(err)
}

// rootCommand is the table of sub-commands.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sealpart",
		Short:         "Declarative partitions, encrypted in place and sealed to this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{withoutValue(err)} })
	root.AddCommand(readOnly(planCommand()), applyCommand(), readOnly(inspectCommand()), openCommand(), closeCommand(), stoppable(exportCommand()), headerCommand(), keyCommand(), verityCommand(), readOnly(doctorCommand()), readOnly(benchmarkCommand()), settleCommand(), versionCommand())
	return root
}

// withoutValue leaves out of an error what a flag that is not there was given, as that may be
// a PIN: "-p1234".
func withoutValue(err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("unknown flag: -%s", unknown.GetSpecifiedName())
	}
	return err
}

// noSubcommand refuses a word that is no sub-command.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q is no command; see sealpart --help", args[0])}
	}
	return nil
}

// atMost accepts up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("%s takes at most %d argument(s), got %d", cmd.Name(), n, len(args))}
		}
		return nil
	}
}

// exactly accepts n arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %d argument(s), got %d: %s", cmd.Name(), n, len(args), cmd.UseLine())}
		}
		return nil
	}
}
