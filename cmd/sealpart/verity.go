package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/verity"
	"github.com/spf13/cobra"
)

// verityCommand makes and checks dm-verity hash trees.
func verityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verity",
		Short: "Make and check dm-verity hash trees",
		Args:  noSubcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(stoppable(verityFormatCommand()), readOnly(verityVerifyCommand()), readOnly(&cobra.Command{
		Use:   "dump HASH",
		Short: "Show what the superblock of a hash tree says",
		Args:  exactly(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return dumpVerity(args[0], cmd.OutOrStdout()) },
	}))
	return cmd
}

func verityVerifyCommand() *cobra.Command {
	var mode string
	cmd := &cobra.Command{
		Use:   "verify [flags] DATA HASH ROOTHASH",
		Short: "Read DATA and the tree in HASH and check every block against the root hash",
		Args:  exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, err := newProgress(mode, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rootHash, err := hex.DecodeString(args[2])
			if err != nil {
				return usageError{fmt.Errorf("root hash %q: want hexadecimal digits", args[2])}
			}
			defer progress.finish()
			return verifyVerity(cmd.Context(), args[0], args[1], rootHash, progress)
		},
	}
	registerProgress(cmd, &mode)
	return cmd
}

// registerProgress adds the flag that newProgress takes.
func registerProgress(cmd *cobra.Command, mode *string) {
	cmd.Flags().StringVar(mode, "progress", "auto", "show how far it is: `auto|tty|lines|json|none`")
}

func verifyVerity(ctx context.Context, dataArg, hashArg string, rootHash []byte, progress *progress) error {
	hashes, err := openInput(hashArg)
	if err != nil {
		return err
	}
	defer hashes.Close()
	data, err := openInput(dataArg)
	if err != nil {
		return err
	}
	defer data.Close()
	return verity.Verify(ctx, data, hashes, rootHash, progress.of("verity verify", data.size))
}

// of returns a function that shows how much of total is done.
func (p *progress) of(action string, total disk.Bytes) func(done int64) {
	return func(done int64) {
		p.event(executor.Event{Phase: executor.Progress, Action: action, Done: disk.Bytes(done), Total: total})
	}
}

// dumpVerity writes a superblock, by the names that veritysetup gives its fields.
func dumpVerity(arg string, out io.Writer) error {
	hashes, err := openInput(arg)
	if err != nil {
		return err
	}
	defer hashes.Close()
	sb, err := verity.ReadSuperblock(hashes)
	if err != nil {
		return fmt.Errorf("%s: %w", arg, err)
	}
	size, err := sb.TreeSize()
	if err != nil {
		return err
	}
	salt := hex.EncodeToString(sb.Salt)
	if salt == "" {
		salt = "-"
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "UUID:\t%s\nHash type:\t1\n", sb.UUID)
	fmt.Fprintf(table, "Data blocks:\t%d\nData block size:\t%d\n", sb.DataBlocks, sb.DataBlockSize)
	fmt.Fprintf(table, "Hash blocks:\t%d\nHash block size:\t%d\n", size/int64(sb.HashBlockSize)-1, sb.HashBlockSize)
	fmt.Fprintf(table, "Hash algorithm:\t%s\nSalt:\t%s\nHash device size:\t%d [bytes]\n", sb.Algorithm, salt, size)
	return table.Flush()
}

// input is a device, a file or a partition that is only read.
type input struct {
	io.ReaderAt
	io.Closer
	size   disk.Bytes
	disk   *blockdev.File // that it is a part of, nil where it was named by itself
	extent disk.Extent    // on that
}

// openInput opens what an argument names. A partition's place is looked up under a
// shared lock of its disk. A path that is given whole is read under none: another
// partition of its disk may be the one that is written, under the exclusive lock.
func openInput(arg string) (input, error) {
	if strings.Contains(arg, "#") {
		path, part, err := parsePart(arg)
		if err != nil {
			return input{}, err
		}
		section, dev, err := openPart(path, part, blockdev.OpenOptions{})
		if err != nil {
			return input{}, err
		}
		return input{section, dev, section.Size(), dev, section.Extent()}, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return input{}, err
	}
	if !info.Mode().IsRegular() && info.Mode().Type() != os.ModeDevice {
		return input{}, fmt.Errorf("%s is not a file or block device (%s)", arg, info.Mode().Type())
	}
	file, err := os.Open(arg)
	if err != nil {
		return input{}, err
	}
	size, err := blockdev.SizeOf(file)
	if err != nil {
		return input{}, errors.Join(err, file.Close())
	}
	return input{ReaderAt: file, Closer: file, size: size}, nil
}
