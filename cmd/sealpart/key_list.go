package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/key/recovery"
	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
	"github.com/spf13/cobra"
)

// keyRow is one keyslot as key list and key test tell of it.
type keyRow struct {
	Keyslot int    `json:"keyslot"`
	Kind    string `json:"kind"` // of the token, "passphrase" where there is none
	Bound   string `json:"bound_to"`
	// Priority tells when it is tried: "prefer", "normal", or "ignore": only when named.
	Priority string `json:"priority"`
	keyBinding
	Secure bool `json:"secure_key,omitempty"` // what it holds is a secure key
	// Opens reports whether it could be opened; nil where it was not tried, because
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
	row := keyRow{
		Keyslot: slot, Kind: "passphrase", Bound: spokenBinding(*v.content, slot), Priority: v.priority(slot),
		Secure: plan.UnderSecureKey(v.content.Cipher), Milliseconds: float64(test.Took.Microseconds()) / 1000,
	}
	if test.Token != nil {
		row.Kind, row.Escrow = test.Token.Type, recovery.Escrow(test.Token.Raw)
		row.keyBinding = bindingOf(v.tokenOf(test.Token.ID), *test.Token)
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

// priority returns the word for when a keyslot is tried.
func (v *keyVolume) priority(slot int) string {
	for _, s := range v.header.Keyslots() {
		switch {
		case s.ID == slot && s.Priority == luks2.PriorityIgnore:
			return priorityIgnore
		case s.ID == slot && s.Priority == luks2.PriorityPrefer:
			return priorityPrefer
		}
	}
	return priorityNormal
}

// The priorities of keyslots, in cryptsetup's words.
const priorityPrefer, priorityNormal, priorityIgnore = "prefer", "normal", "ignore"

// tokenOf returns what is known of a token without its room.
func (v *keyVolume) tokenOf(id int) disk.Token {
	for _, t := range v.content.Tokens {
		if t.ID == id {
			return t
		}
	}
	return disk.Token{}
}

// keyLookCommand is a command that looks at the keyslots of a volume. What look returns is
// shown, with an error too.
func keyLookCommand(unlock *keyFlags, look func(context.Context, *keyVolume) ([]keyRow, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, closer, err := openKeyVolume(args[0], *unlock)
			if err != nil {
				return err
			}
			defer closer.Close()
			rows, err := look(cmd.Context(), v)
			return errors.Join(showKeys(cmd.OutOrStdout(), rows, asJSON), err)
		},
	}
	unlock.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// keyListCommand shows all keyslots.
func keyListCommand() *cobra.Command {
	cmd := keyLookCommand(&keyFlags{}, func(ctx context.Context, v *keyVolume) ([]keyRow, error) {
		rows := []keyRow{}
		for _, slot := range v.content.Keyslots {
			rows = append(rows, v.try(ctx, slot.ID))
		}
		return rows, nil
	})
	cmd.Use, cmd.Short = "list [flags] DISK#PART", "Show each key of a volume, what it is bound to, and whether it opens now"
	return cmd
}

// keyTestCommand opens a volume, and forgets its key.
func keyTestCommand() *cobra.Command {
	unlock, slot := &keyFlags{}, -1
	cmd := keyLookCommand(unlock, func(ctx context.Context, v *keyVolume) ([]keyRow, error) { return v.test(ctx, slot) })
	cmd.Use, cmd.Short = "test [flags] DISK#PART", "Open a volume without activating it: say which keyslot did it, and how long it took"
	unlock.registerPIN(cmd)
	cmd.Flags().IntVar(&slot, "keyslot", slot, "try only the keyslot `N`")
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

// showChange says which keyslots came and went.
func showChange(w io.Writer, asJSON bool, added, removed []int) error {
	if asJSON {
		type change struct {
			Added   []int `json:"added"`
			Removed []int `json:"removed"`
		}
		return jsonTo(w).Encode(change{append([]int{}, added...), append([]int{}, removed...)})
	}
	for _, slot := range added {
		fmt.Fprintf(w, "keyslot %d added\n", slot)
	}
	for _, slot := range removed {
		fmt.Fprintf(w, "keyslot %d removed\n", slot)
	}
	return nil
}
