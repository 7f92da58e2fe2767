package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/planner"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// inspectCommand shows what is on a disk.
func inspectCommand() *cobra.Command {
	var asJSON bool
	var sectorSize int
	cmd := &cobra.Command{
		Use:   "inspect [--json] [DISK]",
		Short: "Show what is on a disk: table, file systems, LUKS2 volumes and what their keys are bound to",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := diskArgument(args)
			if err != nil {
				return err
			}
			snapshot, err := look(path, sectorSize, probe.Disk)
			if err != nil {
				return err
			}
			if asJSON {
				return showJSON(cmd.OutOrStdout(), snapshot)
			}
			return showSnapshot(cmd.OutOrStdout(), snapshot)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON, which plan --snapshot reads")
	cmd.Flags().IntVar(&sectorSize, "sector-size", 0, "sector `size` of an image without a partition table")
	return cmd
}

// look probes a disk, opened read-only, by probe.Disk or probe.Partitions.
func look(path string, sectorSize int, by func(blockdev.Device, disk.Bytes) (disk.Snapshot, error)) (disk.Snapshot, error) {
	dev, err := blockdev.Open(path, blockdev.OpenOptions{})
	if err != nil {
		return disk.Snapshot{}, err
	}
	defer dev.Close()
	return by(dev, disk.Bytes(sectorSize))
}

// showSnapshot writes a snapshot for people.
func showSnapshot(w io.Writer, s disk.Snapshot) error {
	out := bufio.NewWriter(w) // a table is thousands of short writes
	for _, warning := range s.Warnings {
		fmt.Fprintf(out, "note: %s\n", printable(warning))
	}
	if array := planner.MemberOf(s); array != "" {
		fmt.Fprintf(out, "note: %s\n", printable(array))
	}
	fmt.Fprintf(out, "%s: %s, sectors of %d bytes, %s\n", s.Path, s.Size, int64(s.SectorSize), spokenTable(s))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range s.Partitions {
		fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\n", p.Number, printable(p.Name), spokenType(p.Entry), p.Size, spokenContent(p.Content))
		showContent(table, p.Content)
	}
	for _, o := range s.Occupied {
		fmt.Fprintf(table, "  \t\tfree\t%s\t%s\n", o.Size, printable(o.Found.Describe(s.SectorSize)))
	}
	showContent(table, s.Content)
	_ = table.Flush() // out keeps its errors
	return out.Flush()
}

func spokenTable(s disk.Snapshot) string {
	switch s.Table.Kind {
	case disk.GPT:
		return "GPT " + s.Table.GUID.String()
	case disk.MBR:
		return "MBR"
	case disk.Bare:
		if s.Content.Kind == "" {
			return "no partition table, unknown data"
		}
		return "no partition table, " + spokenContent(s.Content)
	default:
		return "no partition table"
	}
}

// showContent writes the details of what a partition holds, indented below it.
func showContent(w io.Writer, c disk.Content) {
	if c.Problem != "" {
		fmt.Fprintf(w, "     problem: %s\n", printable(c.Problem))
	}
	if c.LUKS != nil {
		showLUKS(w, *c.LUKS)
	}
	if v := c.Verity; v != nil {
		fmt.Fprintf(w, "     %s, %d blocks of %d bytes\n", printable(v.Algorithm), v.DataBlocks, int64(v.DataBlockSize))
	}
}

// showLUKS writes a volume's cipher, its conversion, and each key with what it is
// bound to.
func showLUKS(w io.Writer, l disk.LUKS) {
	fmt.Fprintf(w, "     %s, %d-bit %s, sectors of %d bytes, data at %s\n", printable(l.Cipher), l.KeyBits, spokenVolumeKey(l), int64(l.SectorSize), l.DataOffset)
	if l.Recovered != "" {
		fmt.Fprintf(w, "     problem: one copy of the header is not good (%s); the other one is used, and the next change of the header repairs both\n", printable(l.Recovered))
	}
	if limit := cmp.Or(l.ReadOnly, l.Unsupported); limit != "" {
		fmt.Fprintf(w, "     problem: %s\n", printable(limit))
	}
	if r := l.Reencryption; r != nil {
		fmt.Fprintf(w, "     in conversion (%s, %s, %s): %s of %s done; apply finishes it\n", printable(r.Mode), printable(r.Resilience), r.State, r.Done, r.Total)
		fmt.Fprintf(w, "     resumed by %s\n", spokenResume(r.Resume))
	}
	for _, token := range l.Tokens {
		if len(token.Awaits) > 0 {
			fmt.Fprintf(w, "     waits for keys that were not there when it was made: %s\n", printable(strings.Join(token.Awaits, ", ")))
		}
	}
	for _, slot := range l.Keyslots {
		fmt.Fprintf(w, "     keyslot %d: %s, %s\n", slot.ID, printable(slot.KDF), spokenBinding(l, slot.ID))
		if slot.Unreadable != "" {
			fmt.Fprintf(w, "       problem: it cannot be opened here: %s\n", printable(slot.Unreadable))
		}
	}
}

// spokenVolumeKey says what kind of key a volume has, with how it can be told.
func spokenVolumeKey(l disk.LUKS) string {
	if !plan.UnderSecureKey(l.Cipher) {
		return "key"
	}
	i := slices.IndexFunc(l.Tokens, func(t disk.Token) bool { return t.Type == disk.TokenPattern })
	if i < 0 {
		return "secure key without a verification pattern"
	}
	return "secure key with the verification pattern " + printable(l.Tokens[i].Pattern)
}

// spokenResume says which keyslots must be opened to resume a conversion.
func spokenResume(needs [][]int) string {
	var parts []string
	for _, slots := range needs {
		part := "a keyslot that is not there any more"
		if len(slots) > 0 {
			part = "keyslot " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(slots), "[]")), " or ")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", together with ")
}

// spokenBinding says what opens a keyslot.
func spokenBinding(l disk.LUKS, slot int) string {
	var ways []string
	for _, token := range l.Tokens {
		if slices.Contains(token.Keyslots, slot) {
			ways = append(ways, spokenToken(token))
		}
	}
	if len(ways) == 0 {
		return "opened by a passphrase or key file"
	}
	return strings.Join(ways, ", ")
}

func spokenToken(t disk.Token) string {
	switch {
	case t.Type == disk.TokenRecovery:
		return "opened by a recovery key"
	case t.Type == disk.TokenFile:
		return "opened by a key file"
	case t.Type == disk.TokenCommand:
		return "opened by the key module " + printable(t.Module)
	case t.Type == disk.TokenPKCS11:
		return "opened by the key " + printable(t.URI) + " of a PKCS#11 token"
	case t.Type != disk.TokenTPM2:
		return "opened by a token of type " + printable(t.Type)
	}
	return "sealed to a TPM" + and(spokenTerms(t))
}

// spokenTerms says what a TPM asks for before it opens a key.
func spokenTerms(t disk.Token) (terms []string) {
	if len(t.PCRs) > 0 {
		terms = append(terms, fmt.Sprintf("its PCRs %s (%s)", joinInts(t.PCRs), printable(t.Bank)))
	}
	if len(t.PublicKeyPCRs) > 0 {
		terms = append(terms, fmt.Sprintf("a signed policy of its PCRs %s", joinInts(t.PublicKeyPCRs)))
	}
	if t.PCRLock {
		terms = append(terms, "the policy of systemd-pcrlock")
	}
	if t.PIN {
		terms = append(terms, "a PIN")
	}
	return terms
}

// and puts an "and" before each.
func and(terms []string) string {
	text := ""
	for _, term := range terms {
		text += " and " + term
	}
	return text
}
