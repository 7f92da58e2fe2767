package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/doctor"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// doctorFlags are all flags of doctor.
type doctorFlags struct {
	planFlags
	tpm2     string
	programs bool
}

// doctorCommand tells what this machine has for a first boot, and what it lacks.
func doctorCommand() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [flags] [DISK]",
		Short: "Tell what would stop a first boot of this machine, and what helps",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.programs {
				return showPrograms(cmd.OutOrStdout(), &flags.planFlags)
			}
			return examine(cmd.Context(), &flags, args, cmd.OutOrStdout())
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&flags.tpm2, "tpm2-device", "auto", tpm2Usage)
	cmd.Flags().BoolVar(&flags.programs, "programs", false, "only list the programs that the definitions call for")
	return cmd
}

// showPrograms lists what an initramfs with the definitions must hold, a name a line.
func showPrograms(w io.Writer, flags *planFlags) error {
	world, err := gather(flags)
	if err != nil {
		return err
	}
	for _, program := range planner.Programs(world.definitions) {
		if _, err := fmt.Fprintln(w, program); err != nil {
			return err
		}
	}
	return nil
}

// examine makes the report and shows it. It fails where something would stop a boot.
func examine(ctx context.Context, flags *doctorFlags, args []string, out io.Writer) error {
	if err := flags.check(); err != nil {
		return err
	}
	r := doctor.Report{
		Machine: host.Gather(flags.root), Programs: map[string]string{},
		Kernel: map[string]string{"dm-crypt": host.Module("dm-crypt"), "dm-verity": host.Module("dm-verity"), "paes_s390": host.Module("paes_s390")},
	}
	flags.keys = &keyFlags{tpm2: flags.tpm2}
	w, err := gather(&flags.planFlags)
	if err != nil {
		r.Diagnose(nil, []doctor.Trouble{{Err: err, Remedy: hintFor(err)}})
	} else {
		w.describe(&r)
		r.TPM2 = askTPM2(ctx, flags.tpm2, w.definitions)
		r.Diagnose(w.definitions, w.tryPlan(ctx, &r, flags, args))
	}
	if err := showReport(out, &r, flags.json); err != nil {
		return err
	}
	if n := r.Stopping(); n > 0 {
		return fmt.Errorf("what would stop a first boot: %d", n)
	}
	return nil
}

// describe lists the definitions, and the programs that they call for.
func (w *world) describe(r *doctor.Report) {
	for _, d := range w.definitions {
		r.Definitions = append(append(r.Definitions, d.File), d.DropIns...)
	}
	for _, program := range planner.Programs(w.definitions) {
		r.Programs[program] = w.facts.Tools[program]
		if _, err := os.Stat(program); filepath.IsAbs(program) && err == nil {
			r.Programs[program] = program
		}
	}
}

// tryPlan finds the disk and makes a plan for it, as the first boot would. Programs
// that are missing are told apart from it.
func (w *world) tryPlan(ctx context.Context, r *doctor.Report, flags *doctorFlags, args []string) []doctor.Trouble {
	if len(w.definitions) == 0 {
		return nil
	}
	plan, err := func() (*plan.Plan, error) {
		var err error
		if r.Disk, err = w.chooseDisk(ctx, flags, args); err != nil {
			return nil, err
		}
		dev, err := openDisk(&flags.planFlags, r.Disk, blockdev.OpenOptions{})
		if err != nil {
			return nil, err
		}
		defer dev.Close()
		w.facts.Tools, w.facts.Mounts = nil, nil
		plan, _, err := w.plan(ctx, dev, flags.sectorSize)
		return plan, err
	}()
	if err != nil {
		return []doctor.Trouble{{Err: err, Remedy: hintFor(err)}}
	}
	r.Actions = len(plan.Actions)
	return nil
}

// chooseDisk returns the disk that a run would take.
func (w *world) chooseDisk(ctx context.Context, flags *doctorFlags, args []string) (string, error) {
	if len(args) == 0 && flags.boot {
		return host.BootDisk(ctx, 0, namesOn)
	}
	return diskArgument(args)
}

// askTPM2 asks a TPM what it keeps, and looks at the PCRs that keys are to be bound to.
func askTPM2(ctx context.Context, device string, defs []definitions.Definition) (found doctor.TPM2) {
	t, err := tpm2.Open(ctx, device)
	if err != nil {
		return doctor.TPM2{Problem: err.Error()}
	}
	found.Present = true
	if found.Banks, err = t.Banks(); err == nil && len(found.Banks) > 0 {
		found.Blank, err = blankPCRs(t, defs)
	}
	if err = errors.Join(err, t.Close()); err != nil {
		found.Problem = err.Error()
	}
	return found
}

// blankPCRs returns those PCRs of all keys that nothing was measured into, in the banks that
// the keys are sealed to.
func blankPCRs(t *tpm2.TPM, defs []definitions.Definition) (blank []int, err error) {
	for _, k := range keysOf(defs, definitions.KeyTPM2) {
		found, err := t.Blank(k.PCRs, k.Bank)
		if err != nil && !errors.Is(err, tpm2.ErrUnsupported) { // a bank that is not kept is told apart
			return nil, err
		}
		blank = append(blank, found...)
	}
	slices.Sort(blank)
	return slices.Compact(blank), nil
}

// showReport writes a report for people, or as JSON.
func showReport(w io.Writer, r *doctor.Report, asJSON bool) error {
	if asJSON {
		return showJSON(w, r)
	}
	return speakReport(w, r)
}
