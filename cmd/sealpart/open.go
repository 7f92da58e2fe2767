package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/spf13/cobra"
)

// openCommand makes a device of an encrypted partition.
func openCommand() *cobra.Command {
	var keys keyFlags
	var o openOptions
	var rootHash string
	cmd := &cobra.Command{
		Use:   "open [flags] NAME DISK#PART",
		Short: "Open an encrypted partition as /dev/mapper/NAME, by the first token or key that works; or one under dm-verity",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case rootHash != "" && o.orPlain:
				return usageError{errors.New("--or-plain: what has a --root-hash is to be checked; use one of the two")}
			case rootHash != "":
				return openVerity(cmd.Context(), args[0], args[1], rootHash, cmd.OutOrStdout())
			}
			return open(cmd.Context(), keys, args[0], args[1], o, cmd.OutOrStdout())
		},
	}
	keys.register(cmd)
	keys.registerPIN(cmd)
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "let nothing be written to it")
	cmd.Flags().BoolVar(&o.orPlain, "or-plain", false, "where PART holds a file system that is not encrypted, print its own device, and make none")
	cmd.Flags().StringVar(&rootHash, "root-hash", "", "PART is the data of a dm-verity device with this root hash; the hash partition is found by its UUID")
	return cmd
}

// openOptions say what open may do.
type openOptions struct {
	readOnly bool // nothing is written to the volume
	orPlain  bool // a partition that is not encrypted does, too
}

// open opens a volume and prints where.
func open(ctx context.Context, keys keyFlags, name, arg string, o openOptions, out io.Writer) (err error) {
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
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: info.Mode().IsRegular() && !o.readOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	found, err := namedPart(dev, part)
	if err != nil {
		return err
	}
	device := ""
	if o.orPlain && isPlain(found.Content) {
		device, err = plainDevice(dev, found)
	} else {
		device, err = openVolume(ctx, keys.env(nil), name, dev, found.Extent, o.readOnly)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, device)
	return err
}

// openVolume makes a device of an encrypted part of a disk.
func openVolume(ctx context.Context, env executor.Env, name string, dev *blockdev.File, extent disk.Extent, readOnly bool) (device string, err error) {
	section, node, err := forKernel(dev, extent)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, node.Release()) }()
	node.ReadOnly = node.ReadOnly || readOnly
	return executor.Open(ctx, env, name, section, node)
}

// isPlain reports whether a partition holds nothing but a file system that is not encrypted.
// A damaged LUKS2 header is none, whatever lies beside it.
func isPlain(c disk.Content) bool {
	return slices.Contains(plainKinds, c.Kind) && len(c.Ambiguous) == 0 && c.Problem == ""
}

// plainKinds are what blkid calls the file systems from which a machine runs.
var plainKinds = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "squashfs", "erofs"}

// plainDevice returns the device of a partition as the kernel knows it.
func plainDevice(dev *blockdev.File, p disk.Partition) (string, error) {
	parts, err := dev.Parts()
	if err != nil {
		return "", err
	}
	for _, known := range parts {
		if known.Extent == p.Extent {
			return known.Path, nil
		}
	}
	return "", fmt.Errorf("%s: partition %d is not encrypted, and the kernel has no device of it", dev.Name(), p.Number)
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
