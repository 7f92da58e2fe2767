package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sealpart/sealpart/internal/doctor"
	"github.com/sealpart/sealpart/internal/host"
)

// speakReport writes what a machine has, a line each, and then what is wrong.
func speakReport(w io.Writer, r *doctor.Report) error {
	out := bufio.NewWriter(w)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "machine\t%s\n", spokenMachine(r.Machine))
	fmt.Fprintf(table, "secure boot\t%s\n", r.Machine.SecureBoot)
	fmt.Fprintf(table, "TPM 2.0\t%s\n", spokenTPM2(r.TPM2))
	fmt.Fprintf(table, "kernel\t%s, dm-crypt: %s, dm-verity: %s\n", orNone(r.Machine.KernelRelease), r.Kernel["dm-crypt"], r.Kernel["dm-verity"])
	fmt.Fprintf(table, "definitions\t%s\n", orNone(strings.Join(r.Definitions, " ")))
	fmt.Fprintf(table, "programs\t%s\n", orNone(spokenPrograms(r.Programs)))
	fmt.Fprintf(table, "disk\t%s\n", spokenDisk(r))
	_ = table.Flush() // out keeps its errors
	for _, f := range r.Findings {
		kind := "warning"
		if f.Stops {
			kind = "problem"
		}
		fmt.Fprintf(out, "\n%s: %s\n", kind, strings.ReplaceAll(f.Problem, "\n", "\n  "))
		if f.Remedy != "" {
			fmt.Fprintf(out, "  remedy: %s\n", f.Remedy)
		}
	}
	return out.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return printable(text)
}

func spokenMachine(f host.Facts) string {
	words := append([]string{f.Architecture}, f.Firmware...)
	for _, word := range []string{f.VM, f.Container} {
		if word != "" {
			words = append(words, word)
		}
	}
	return printable(strings.Join(words, ", "))
}

func spokenTPM2(t doctor.TPM2) string {
	switch {
	case !t.Present:
		return "none"
	case t.Problem != "":
		return printable(t.Problem)
	}
	return "PCR banks " + strings.Join(t.Banks, ", ")
}

// spokenPrograms lists where the programs are.
func spokenPrograms(programs map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if path := programs[name]; path != "" {
			words = append(words, path)
		} else {
			words = append(words, name+" (missing)")
		}
	}
	return strings.Join(words, " ")
}

func spokenDisk(r *doctor.Report) string {
	if r.Disk == "" {
		return "none"
	}
	return fmt.Sprintf("%s, actions to do: %d", printable(r.Disk), r.Actions)
}
