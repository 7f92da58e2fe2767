package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/herald"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// applyFlags are all flags of apply.
type applyFlags struct {
	planFlags
	keyFlags
	dryRun   bool
	fstab    string
	progress string
	watchdog string
}

// applyCommand makes a disk what the definitions say.
func applyCommand() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use:   "apply [flags] [DISK]",
		Short: "Make a disk what the definitions say",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := apply(cmd.Context(), &flags, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if flags.boot {
				return asBootError(err)
			}
			return err
		},
	}
	flags.planFlags.register(cmd)
	flags.keyFlags.register(cmd)
	flags.keyFlags.registerPIN(cmd)
	flags.planFlags.keys = &flags.keyFlags
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the plan; open the disk read-only")
	cmd.Flags().StringVar(&flags.fstab, "generate-fstab", "", "write the new file `PATH`, below --root, from each mount_point")
	cmd.Flags().StringVar(&flags.progress, "progress", "auto", "how to show progress: `auto|tty|lines|json|none`")
	cmd.Flags().StringVar(&flags.watchdog, "watchdog", "", "feed the hardware watchdog `DEVICE` while there is work")
	return cmd
}

// apply plans and applies; with --dry-run it shows the plan. Whoever listens is told of
// it from the beginning: to wait for a disk takes time, too.
func apply(ctx context.Context, flags *applyFlags, args []string, out, diagnostics io.Writer) (err error) {
	flags.made = flags.fstab
	if flags.unseen = flags.boot; flags.boot {
		flags.obeyKernel(diagnostics)
	}
	progress, err := newProgress(flags.progress, diagnostics)
	if err != nil {
		return err
	}
	if progress.herald, err = herald.Start(flags.watchdog); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, progress.herald.Close()) }()
	if flags.boot {
		if args, err = flags.atBoot(ctx, args); err != nil || len(args) == 0 {
			return err
		}
	}
	if flags.dryRun {
		plan, saw, err := makePlan(ctx, &flags.planFlags, "", args)
		if err != nil {
			return err
		}
		return showPlan(out, flags.shown(plan), saw, flags.json)
	}
	return applyArguments(ctx, flags, args, progress, out)
}

// applyArguments applies to the disk that is named, or to the one behind the root file
// system.
func applyArguments(ctx context.Context, flags *applyFlags, args []string, progress *progress, out io.Writer) error {
	w, err := gather(&flags.planFlags)
	if err != nil {
		return err
	}
	path, err := diskArgument(args)
	if err != nil {
		return err
	}
	if w.options.Empty == planner.EmptyCreate {
		return w.applyNew(ctx, flags, path, progress, out)
	}
	return w.applyTo(ctx, flags, path, progress, out)
}

// applyNew makes the image file first, and takes it away again where the rest
// fails, so that no half-made image is left under the name.
func (w *world) applyNew(ctx context.Context, flags *applyFlags, path string, progress *progress, out io.Writer) (err error) {
	if err := w.autoSize(&flags.planFlags); err != nil {
		return err
	}
	// A plan that cannot be made leaves no file behind, not even for a moment.
	if _, _, err := makePlan(ctx, &flags.planFlags, "", []string{path}); err != nil {
		return err
	}
	file, err := createFile(path, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.remove())
		}
		_ = file.dir.Close()
	}()
	if err := errors.Join(file.Truncate(int64(w.options.Size)), file.Close()); err != nil {
		return err
	}
	return w.applyTo(ctx, flags, path, progress, out)
}

// applyTo works on a disk or image that is there. One on which there is nothing to do
// is not opened for writing: when such a disk is closed, udev reads its partition table
// again, and its partitions go and come back while others want them.
func (w *world) applyTo(ctx context.Context, flags *applyFlags, path string, progress *progress, out io.Writer) error {
	if err := w.autoSize(&flags.planFlags); err != nil {
		return err
	}
	done, err := w.attempt(ctx, flags, path, false, progress, out)
	if errors.As(err, new(*planner.HibernatedError)) && flags.boot {
		err = nil // it may be resumed in this very boot, or not come back
	}
	if done || err != nil {
		return err
	}
	if flags.boot {
		if err := flags.settle(ctx, path); err != nil {
			return err
		}
	}
	_, err = w.attempt(ctx, flags, path, true, progress, out)
	return err
}

// attempt plans, and where there is something to do and write is set, nobody else can
// change the disk any more and it is done. It reports whether all is done.
func (w *world) attempt(ctx context.Context, flags *applyFlags, path string, write bool, progress *progress, out io.Writer) (done bool, err error) {
	dev, err := openDisk(&flags.planFlags, path, blockdev.OpenOptions{Write: write})
	if err != nil {
		return false, err
	}
	defer func() { _ = dev.CloseUntil(ctx) }()
	plan, saw, err := w.planChecked(ctx, flags, dev, progress)
	if err != nil {
		return false, err
	}
	if !plan.Empty() {
		if err := checkHolders(dev, plan); err != nil || !write {
			return false, err
		}
	}
	if plan.Empty() {
		return true, w.nothingToDo(ctx, flags, dev, plan, saw, progress, out)
	}
	if !flags.json {
		if err := showPlan(out, flags.shown(plan), saw, false); err != nil {
			return false, err
		}
	}
	return true, w.execute(ctx, flags, dev, plan, saw, progress, out)
}

// planChecked plans, and once more where the plan rests on marks in a header that are not its
// volume's own. A boot asks nobody for a PIN only to check one: that would be every boot.
func (w *world) planChecked(ctx context.Context, flags *applyFlags, dev blockdev.Device, progress *progress) (*plan.Plan, disk.Snapshot, error) {
	plan, saw, err := w.plan(ctx, dev, flags.sectorSize)
	if err != nil || len(plan.Marks) == 0 {
		return plan, saw, err
	}
	env := w.environment(flags)
	if flags.boot {
		env = flags.keyFlags.untyped().env(w.definitions)
	}
	env.Report = progress.event
	distrusted, err := executor.CheckMarks(ctx, dev, plan, env)
	if err != nil || len(distrusted) == 0 {
		return plan, saw, err
	}
	if w.options.Distrusted == nil {
		w.options.Distrusted = map[int][]int{}
	}
	for number, tokens := range distrusted {
		w.options.Distrusted[number] = append(w.options.Distrusted[number], tokens...)
	}
	return w.plan(ctx, dev, flags.sectorSize)
}

// environment returns what the keys of this run are used with, the same at each step of it:
// nobody types a PIN twice, no wrong one is offered twice, and standard input is read once.
func (w *world) environment(flags *applyFlags) executor.Env {
	if w.env == nil {
		env := flags.keyFlags.env(w.definitions)
		w.env = &env
	}
	return *w.env
}

// nothingToDo says so to machines, and what is amiss to people.
func (w *world) nothingToDo(ctx context.Context, flags *applyFlags, dev *blockdev.File, plan *plan.Plan, saw disk.Snapshot, progress *progress, out io.Writer) (err error) {
	takeBack, err := w.writeFstab(plan, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, takeBack())
		}
	}()
	if err := executor.Split(ctx, dev, plan); err != nil {
		return err
	}
	if flags.json {
		return showPlan(out, flags.shown(plan), saw, true)
	}
	progress.warn(plan.Notes)
	return nil
}

// execute applies a plan and tells how it goes.
func (w *world) execute(ctx context.Context, flags *applyFlags, dev *blockdev.File, plan *plan.Plan, saw disk.Snapshot, progress *progress, out io.Writer) (err error) {
	onto, err := claimed(dev, plan)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, onto.claim.Close()) }()
	takeBack := func() error { return nil }
	defer func() {
		if err != nil {
			err = errors.Join(err, takeBack())
		}
	}()
	env := w.environment(flags)
	env.Decided = func(unmade []int) (err error) {
		takeBack, err = w.writeFstab(plan, unmade)
		return err
	}
	if env.Epoch, err = sourceDateEpoch(); err != nil {
		return err
	}
	env.Root, env.Mount = flags.root, flags.mount
	env.Report = progress.event
	if flags.boot && os.Getenv("TMPDIR") == "" {
		env.TempDir = bootTempDir
	}
	derived, err := executor.Apply(ctx, onto, plan, env)
	progress.finish()
	if err != nil && onto.changed.Load() {
		return changedError{err}
	}
	if err != nil {
		return err
	}
	plan.Resolve(derived)
	if err := executor.Split(ctx, dev, plan); err != nil {
		return err
	}
	if flags.json {
		return showPlan(out, flags.shown(plan), saw, true)
	}
	return nil
}

// sourceDateEpoch reads the variable that reproducible builds set
// (reproducible-builds.org/specs/source-date-epoch).
func sourceDateEpoch() (*time.Time, error) {
	text, ok := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !ok {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return nil, usageError{fmt.Errorf("SOURCE_DATE_EPOCH=%q is not a number of seconds", text)}
	}
	epoch := time.Unix(seconds, 0).UTC()
	return &epoch, nil
}
