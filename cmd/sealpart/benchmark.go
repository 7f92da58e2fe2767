package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/sealpart/sealpart/internal/benchmark"
	"github.com/spf13/cobra"
)

// benchmarkCommand measures ciphers, key derivations and hashes.
func benchmarkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "benchmark",
		Short: "Measure encryption, key derivation and hashing on this machine",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := benchmark.Run(benchmark.Duration)
			if err != nil {
				return err
			}
			if asJSON {
				return showJSON(cmd.OutOrStdout(), report)
			}
			return showBenchmark(cmd.OutOrStdout(), report)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON; rates are bytes or iterations a second")
	return cmd
}

// showBenchmark writes the table for people.
func showBenchmark(w io.Writer, r benchmark.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "one core, data in memory")
	fmt.Fprintln(table, "\ncipher\tsectors of\tby\tencrypt\tdecrypt")
	for _, c := range r.Ciphers {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", c.Name, c.SectorSize, c.Implementation, spokenRate(c.Encrypt), spokenRate(c.Decrypt))
	}
	fmt.Fprintln(table, "\nhash\tblocks of\trate")
	for _, h := range r.Hashes {
		fmt.Fprintf(table, "%s\t%d\t%s\n", h.Name, h.BlockSize, spokenRate(h.Rate))
	}
	fmt.Fprintln(table, "\nkey derivation")
	for _, k := range r.PBKDF2 {
		fmt.Fprintf(table, "pbkdf2-%s\t%.0f iterations/s\n", k.Hash, k.Rate)
	}
	a := r.Argon2id
	fmt.Fprintf(table, "argon2id\t%d passes, %d MiB, %d CPUs take about %.0f s\n", a.Time, a.Memory>>10, a.CPUs, a.Seconds)
	return table.Flush()
}

// spokenRate says bytes a second.
func spokenRate(r float64) string { return fmt.Sprintf("%.2f GB/s", r/1e9) }
