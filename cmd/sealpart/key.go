package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/planner"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// keyCommand shows, tries and changes the keys of a volume.
func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List, test, add, remove or rotate the keys of an encrypted partition, also of one in use",
		Args:  noSubcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(readOnly(keyListCommand()), readOnly(keyTestCommand()), keyAddCommand(), keyRemoveCommand(), keyRotateCommand())
	return cmd
}

// newKeyFlags say what key is added.
type newKeyFlags struct {
	key, definition string
}

// register adds the flags to a command.
func (f *newKeyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "key", "", "the new key, in the `WORDS` of [[encryption.key]]: 'type = \"tpm2\", pcrs = [7]'")
	cmd.Flags().StringVar(&f.definition, "definition", "", "the new keys: all [[encryption.key]] of `FILE`")
}

// keys returns the new keys, none where no flag is given.
func (f *newKeyFlags) keys(ctx context.Context) ([]definitions.Key, error) {
	switch {
	case f.key != "" && f.definition != "":
		return nil, usageError{errors.New("give --key or --definition, not both")}
	case f.key != "":
		return definitions.Keys("--key", "[encryption]\nkey = [{ "+f.key+" }]\n")
	case f.definition != "":
		return abandon.Call(ctx, func() ([]definitions.Key, error) { return keysIn(f.definition) }, func([]definitions.Key) {})
	}
	return nil, nil
}

// keysIn returns the keys of a file that others cannot change, or of a pipe of ours.
func keysIn(path string) ([]definitions.Key, error) {
	file, err := resolve.Trusted(path, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	return definitions.Keys(path, string(text))
}

// keyAddCommand adds keys.
func keyAddCommand() *cobra.Command {
	var unlock keyFlags
	var fresh newKeyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add [flags] DISK#PART",
		Short: "Add a key to a volume that a token or --key-file opens",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := fresh.keys(cmd.Context())
			if err == nil && len(keys) == 0 {
				err = usageError{errors.New("say which key to add, with --key or --definition")}
			}
			if err != nil {
				return err
			}
			return changeKeys(cmd.Context(), args[0], unlock, asJSON, cmd.OutOrStdout(), func(l *disk.LUKS) (planner.KeyChange, error) {
				return planner.AddKeys(l, keys)
			})
		},
	}
	unlock.register(cmd)
	unlock.registerPIN(cmd)
	fresh.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// keyRemoveCommand removes a keyslot.
func keyRemoveCommand() *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove [flags] DISK#PART KEYSLOT",
		Short: "Remove a key, but not the last one that a machine opens by itself, nor the last that a person can",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := parseKeyslot(args[1])
			if err != nil {
				return err
			}
			return changeKeys(cmd.Context(), args[0], keyFlags{}, asJSON, cmd.OutOrStdout(), func(l *disk.LUKS) (planner.KeyChange, error) {
				return planner.RemoveKey(l, slot, force)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also the last of its kind, but never the very last")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// keyRotateCommand puts a new key in the place of one.
func keyRotateCommand() *cobra.Command {
	var unlock keyFlags
	var fresh newKeyFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate [flags] DISK#PART KEYSLOT",
		Short: "Put a new key in the place of one: a new secret bound as before, or --key",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := parseKeyslot(args[1])
			if err != nil {
				return err
			}
			keys, err := fresh.keys(cmd.Context())
			if err == nil && len(keys) > 1 {
				err = usageError{fmt.Errorf("%s has %d keys, and one takes the place of another", fresh.definition, len(keys))}
			}
			if err != nil {
				return err
			}
			var key *definitions.Key
			if len(keys) > 0 {
				key = &keys[0]
			}
			return changeKeys(cmd.Context(), args[0], unlock, asJSON, cmd.OutOrStdout(), func(l *disk.LUKS) (planner.KeyChange, error) {
				return planner.RotateKey(l, slot, key)
			})
		},
	}
	unlock.register(cmd)
	unlock.registerPIN(cmd)
	fresh.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func parseKeyslot(text string) (int, error) {
	slot, err := strconv.Atoi(text)
	if err != nil || slot < 0 {
		return 0, usageError{fmt.Errorf("%q is no keyslot; \"sealpart key list\" shows those that are there", text)}
	}
	return slot, nil
}

// changeKeys decides on a change by what the header says, and makes it.
func changeKeys(ctx context.Context, arg string, unlock keyFlags, asJSON bool, out io.Writer, decide func(*disk.LUKS) (planner.KeyChange, error)) error {
	path, part, err := parsePart(arg)
	if err != nil {
		return err
	}
	section, dev, err := openPartFor(ctx, path, part, blockdev.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer func() { _ = dev.CloseUntil(ctx) }()
	if _, err := luksOf(arg, section); err != nil { // which says what is there instead
		return err
	}
	change, added, err := executor.ChangeKeys(ctx, unlock.volumeEnv(), section, func(volume *disk.LUKS) (planner.KeyChange, error) {
		change, err := decide(volume)
		if err != nil {
			return change, err
		}
		return change, settleChange(&change, unlock)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", arg, err)
	}
	return showChange(out, asJSON, added, change.Remove)
}

// settleChange decides what the new keys leave open, as a plan does.
func settleChange(change *planner.KeyChange, unlock keyFlags) error {
	keys, notes, err := planner.SettleKeys(change.Add, unlock.policies(change.Add), host.Gather("").Opener, false)
	if err != nil {
		return err
	}
	change.Add = keys
	for _, note := range notes {
		fmt.Fprintf(os.Stderr, "sealpart: note: %s\n", printable(note))
	}
	return nil
}

// luksOf describes the LUKS2 volume that a partition is.
func luksOf(arg string, section *blockdev.Section) (*disk.LUKS, error) {
	content, err := probe.Content(section, section.Size())
	if err != nil {
		return nil, err
	}
	switch {
	case content.LUKS != nil:
		return content.LUKS, nil
	case content.Problem != "":
		return nil, fmt.Errorf("%s: %s", arg, content.Problem)
	}
	return nil, fmt.Errorf("%s is no LUKS2 volume: %s", arg, spokenContent(content))
}

// volumeEnv is for commands on one volume, in which --key-file opens it and is no
// definition's key.
func (f keyFlags) volumeEnv() executor.Env {
	env := (&keyFlags{tpm2: f.tpm2, pins: f.pins, policy: f.policy}).env(nil)
	if f.keyFile != "" {
		env.Keys = append(env.Keys, definitions.Key{Type: definitions.KeyFile, Path: f.keyFile})
	}
	return env
}
