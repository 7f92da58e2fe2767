package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/spf13/cobra"
)

// openCommand makes a device of an encrypted partition.
func openCommand() *cobra.Command {
	var keys keyFlags
	var readOnly bool
	var rootHash string
	cmd := &cobra.Command{
		Use:   "open [flags] NAME DISK#PART",
		Short: "Open an encrypted partition as /dev/mapper/NAME, by the first token or key that works; or one under dm-verity",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rootHash != "" {
				return openVerity(cmd.Context(), args[0], args[1], rootHash, cmd.OutOrStdout())
			}
			return open(cmd.Context(), keys, args[0], args[1], readOnly, cmd.OutOrStdout())
		},
	}
	keys.register(cmd)
	keys.registerPIN(cmd)
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "let nothing be written to it")
	cmd.Flags().StringVar(&rootHash, "root-hash", "", "PART is the data of a dm-verity device with this root hash; the hash partition is found by its UUID")
	return cmd
}

// open opens a volume and prints where.
func open(ctx context.Context, keys keyFlags, name, arg string, readOnly bool, out io.Writer) (err error) {
	path, part, err := parsePart(arg)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// A loop device can be written to if the file was opened for that. A block device
	// was not: closing it would let udev read all of its partition table again.
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: info.Mode().IsRegular() && !readOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	extent, err := locatePart(dev, part)
	if err != nil {
		return err
	}
	section, err := blockdev.NewSection(dev, extent)
	if err != nil {
		return err
	}
	node, err := dev.NodeOf(extent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Release()) }()
	node.ReadOnly = node.ReadOnly || readOnly
	device, err := executor.Open(ctx, keys.env(nil), name, section, node)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, device)
	return err
}

// closeCommand removes such a device.
func closeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "close NAME",
		Short: "Close what open opened",
		Args:  exactly(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return executor.Close(cmd.Context(), args[0]) },
	}
}
