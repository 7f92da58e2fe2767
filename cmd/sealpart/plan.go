package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// planCommand shows what apply would do.
func planCommand() *cobra.Command {
	var flags planFlags
	var keys keyFlags
	var snapshot string
	var detailed bool
	cmd := &cobra.Command{
		Use:   "plan [flags] [DISK]",
		Short: "Show what apply would do to a disk, and why",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.boot && snapshot == "" {
				var err error
				if args, err = flags.atBoot(cmd.Context(), args); err != nil || len(args) == 0 {
					return err
				}
			}
			plan, saw, err := makePlan(cmd.Context(), &flags, snapshot, args)
			if err != nil {
				return err
			}
			if err := showPlan(cmd.OutOrStdout(), flags.shown(plan), saw, flags.json); err != nil {
				return err
			}
			if detailed && !plan.Empty() {
				return errPending
			}
			return nil
		},
	}
	flags.register(cmd)
	keys.register(cmd)
	flags.keys = &keys
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "plan for the disk described in `FILE`, made by inspect --json")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 5 when there is something to do")
	return cmd
}

// makePlan plans for a snapshot file or for a disk, which is opened read-only.
func makePlan(ctx context.Context, flags *planFlags, snapshotFile string, args []string) (*plan.Plan, disk.Snapshot, error) {
	w, err := gather(flags)
	if err != nil {
		return nil, disk.Snapshot{}, err
	}
	if snapshotFile != "" {
		return w.planSnapshot(ctx, snapshotFile, args)
	}
	path, err := diskArgument(args)
	if err != nil {
		return nil, disk.Snapshot{}, err
	}
	dev, closer, err := w.openForPlan(flags, path)
	if err != nil {
		return nil, disk.Snapshot{}, err
	}
	defer closer.Close()
	if err := w.autoSize(flags); err != nil {
		return nil, disk.Snapshot{}, err
	}
	return w.plan(ctx, dev, flags.sectorSize)
}

// readSnapshot reads what inspect --json wrote.
func readSnapshot(file string) (snapshot disk.Snapshot, err error) {
	text, err := os.Open(file)
	if err != nil {
		return snapshot, err
	}
	defer text.Close()
	decoder := json.NewDecoder(text)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&snapshot); err != nil {
		return snapshot, fmt.Errorf("%s: not a snapshot made by inspect --json: %w", file, err)
	}
	return snapshot, nil
}

// planSnapshot plans for a disk that is elsewhere.
func (w *world) planSnapshot(ctx context.Context, file string, args []string) (*plan.Plan, disk.Snapshot, error) {
	if len(args) > 0 {
		return nil, disk.Snapshot{}, usageError{fmt.Errorf("give a DISK or --snapshot, not both")}
	}
	// It may come out of a pipe, from the machine that has the disk.
	snapshot, err := abandon.Call(ctx, func() (disk.Snapshot, error) { return readSnapshot(file) }, func(disk.Snapshot) {})
	if err != nil {
		return nil, snapshot, err
	}
	w.facts.Tools, w.facts.Mounts, w.facts.Opener, w.keys = nil, nil, host.Opener{}, nil // those of the machine that has the disk are unknown
	plan, err := w.planFor(ctx, snapshot)
	if err != nil {
		return nil, snapshot, fmt.Errorf("%s: %w", file, err)
	}
	return plan, snapshot, nil
}
