package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/internal/recovery"
	"github.com/sealpart/sealpart/internal/tpm2"
	"github.com/sealpart/sealpart/luks2"
	"github.com/spf13/cobra"
)

// keyRow is one keyslot as key list and key test tell of it.
type keyRow struct {
	Keyslot int    `json:"keyslot"`
	Kind    string `json:"kind"` // of the token, "passphrase" where there is none
	Bound   string `json:"bound_to"`
	// Opens tells whether it could be opened; nil where it was not tried, because
	// nothing was given to try it with.
	Opens        *bool   `json:"opens"`
	Reason       string  `json:"reason,omitempty"` // why it does not open
	Milliseconds float64 `json:"milliseconds"`
	Escrow       []byte  `json:"escrow,omitempty"` // an age file with a recovery key
}

// keyVolume is a volume whose keys are looked at.
type keyVolume struct {
	part    *blockdev.Section
	header  *luks2.Header
	content *disk.LUKS
	env     executor.Env
}

// openKeyVolume opens a volume for reading.
func openKeyVolume(arg string, unlock keyFlags) (*keyVolume, io.Closer, error) {
	path, part, err := parsePart(arg)
	if err != nil {
		return nil, nil, err
	}
	section, closer, err := openPart(path, part, blockdev.OpenOptions{})
	if err != nil {
		return nil, nil, err
	}
	v := &keyVolume{part: section, env: unlock.volumeEnv()}
	if v.content, err = luksOf(arg, section); err == nil {
		v.header, err = luks2.Read(section, int64(section.Size()))
	}
	if err != nil {
		return nil, nil, errors.Join(err, closer.Close())
	}
	return v, closer, nil
}

// try tries one keyslot.
func (v *keyVolume) try(ctx context.Context, slot int) keyRow {
	test := executor.TestKeyslot(ctx, v.env, v.header, v.part, slot)
	row := keyRow{Keyslot: slot, Kind: "passphrase", Bound: spokenBinding(*v.content, slot), Milliseconds: float64(test.Took.Microseconds()) / 1000}
	if test.Token != nil {
		row.Kind, row.Escrow = test.Token.Type, recovery.Escrow(test.Token.Raw)
	}
	opens := test.Err == nil
	if !errors.Is(test.Err, executor.ErrNotGiven) && !errors.Is(test.Err, tpm2.ErrNoPIN) {
		row.Opens = &opens
	}
	if test.Err != nil {
		row.Reason = test.Err.Error()
	}
	return row
}

// keyListCommand shows all keyslots.
func keyListCommand() *cobra.Command {
	var unlock keyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [flags] DISK#PART",
		Short: "Show each key of a volume, what it is bound to, and whether it opens now",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, closer, err := openKeyVolume(args[0], unlock)
			if err != nil {
				return err
			}
			defer closer.Close()
			rows := []keyRow{}
			for _, slot := range v.content.Keyslots {
				rows = append(rows, v.try(cmd.Context(), slot.ID))
			}
			return showKeys(cmd.OutOrStdout(), rows, asJSON)
		},
	}
	unlock.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// keyTestCommand opens a volume, and forgets its key.
func keyTestCommand() *cobra.Command {
	var unlock keyFlags
	var asJSON bool
	slot := -1
	cmd := &cobra.Command{
		Use:   "test [flags] DISK#PART",
		Short: "Open a volume without activating it: say which keyslot did it, and how long it took",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, closer, err := openKeyVolume(args[0], unlock)
			if err != nil {
				return err
			}
			defer closer.Close()
			rows, err := v.test(cmd.Context(), slot)
			return errors.Join(showKeys(cmd.OutOrStdout(), rows, asJSON), err)
		},
	}
	unlock.register(cmd)
	unlock.registerPIN(cmd)
	cmd.Flags().IntVar(&slot, "keyslot", slot, "try only the keyslot `N`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// test tries keyslots in the order in which the volume is opened, or one, until the
// first opens.
func (v *keyVolume) test(ctx context.Context, only int) ([]keyRow, error) {
	slots := executor.OpeningOrder(v.header)
	if only >= 0 {
		if !slices.Contains(slots, only) {
			return nil, usageError{fmt.Errorf("the volume's data has no keyslot %d", only)}
		}
		slots = []int{only}
	}
	rows := []keyRow{}
	for _, slot := range slots {
		row := v.try(ctx, slot)
		rows = append(rows, row)
		if row.Reason == "" {
			return rows, nil
		}
	}
	return rows, executor.ErrNoKey
}

// showKeys writes keyslots, for people or for programs.
func showKeys(w io.Writer, rows []keyRow, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		result := fmt.Sprintf("opens, %.0f ms", r.Milliseconds)
		switch {
		case r.Opens == nil:
			result = "not tried: " + r.Reason
		case !*r.Opens:
			result = "does not open: " + r.Reason
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", r.Keyslot, r.Bound, printable(strings.ReplaceAll(result, "\n", "; ")))
	}
	return table.Flush()
}

// showChange says which keyslots came and went.
func showChange(w io.Writer, asJSON bool, added, removed []int) error {
	if asJSON {
		type change struct {
			Added   []int `json:"added"`
			Removed []int `json:"removed"`
		}
		return json.NewEncoder(w).Encode(change{append([]int{}, added...), append([]int{}, removed...)})
	}
	for _, slot := range added {
		fmt.Fprintf(w, "keyslot %d added\n", slot)
	}
	for _, slot := range removed {
		fmt.Fprintf(w, "keyslot %d removed\n", slot)
	}
	return nil
}
