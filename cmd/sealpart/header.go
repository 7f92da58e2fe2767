package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/wholefile"
	"github.com/spf13/cobra"
)

// headerCommand backs up and restores LUKS2 headers.
func headerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "header",
		Short: "Back up or restore the LUKS2 header of an encrypted partition",
		Args:  noSubcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var force bool
	restore := &cobra.Command{
		Use:   "restore [flags] DISK#PART FILE",
		Short: "Put a header with its keyslots back from FILE",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return restoreHeader(cmd.Context(), args[0], args[1], force, cmd.OutOrStdout())
		},
	}
	restore.Flags().BoolVar(&force, "force", false, "restore also where no header can be read to compare with, or where keyslots come back that were removed")
	cmd.AddCommand(stoppable(&cobra.Command{
		Use:   "backup DISK#PART FILE",
		Short: "Write the header with its keyslots to the new FILE, as cryptsetup luksHeaderBackup does",
		Args:  exactly(2),
		RunE:  func(cmd *cobra.Command, args []string) error { return backupHeader(cmd.Context(), args[0], args[1]) },
	}), restore)
	return cmd
}

// backupHeader writes a file that only its owner can read: who has it can open the
// volume by every key of that day. It is durable, name and all, or is not there.
func backupHeader(ctx context.Context, arg, name string) error {
	path, part, err := parsePart(arg)
	if err != nil {
		return err
	}
	section, closer, err := openPart(path, part, blockdev.OpenOptions{})
	if err != nil {
		return err
	}
	defer closer.Close()
	var header bytes.Buffer // whole before the file is begun, and without holding up others for that
	if err := executor.BackupHeader(ctx, section, &header); err != nil {
		return err
	}
	return wholefile.Create(name, 0o600, func(file *os.File) error {
		_, err := header.WriteTo(file)
		return err
	})
}

// restoreHeader puts a backup back, and names the keyslots that come back with it.
func restoreHeader(ctx context.Context, arg, name string, force bool, out io.Writer) (err error) {
	path, part, err := parsePart(arg)
	if err != nil {
		return err
	}
	backup, err := abandon.Call(ctx, func() ([]byte, error) { return readBackup(name) }, func([]byte) {})
	if err != nil {
		return err
	}
	section, dev, err := openPartFor(ctx, path, part, blockdev.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.CloseUntil(ctx)) }()
	back, err := executor.RestoreHeader(ctx, executor.Env{Random: rand.Reader}, section, bytes.NewReader(backup), int64(len(backup)), force)
	for _, keyslot := range back {
		fmt.Fprintf(out, "keyslot %s is back\n", printable(keyslot.String()))
	}
	return err
}

// maxBackup is more than a LUKS2 header takes with the largest keyslots area, 128 MiB.
const maxBackup = 160 << 20

// readBackup reads a file of which others can change nothing, once: what is judged of it is
// what is written. Of one that is larger than any header only the begin counts.
func readBackup(name string) ([]byte, error) {
	file, err := resolve.Trusted(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxBackup))
}
