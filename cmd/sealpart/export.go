package main

import (
	"bufio"
	"context"
	"errors"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/spf13/cobra"
)

// exportCommand writes the decrypted content of a volume to a file.
func exportCommand() *cobra.Command {
	var keys keyFlags
	cmd := &cobra.Command{
		Use:   "export [flags] DISK#PART FILE",
		Short: "Write the decrypted content of an encrypted partition to a file, without device-mapper",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, part, err := parsePart(args[0])
			if err != nil {
				return err
			}
			return export(cmd.Context(), keys, path, part, args[1])
		},
	}
	keys.register(cmd)
	keys.registerPIN(cmd)
	return cmd
}

// export decrypts one partition into a new file, which only its owner can read.
func export(ctx context.Context, keys keyFlags, path, part, file string) (err error) {
	section, closer, err := openPart(path, part, blockdev.OpenOptions{})
	if err != nil {
		return err
	}
	defer closer.Close()
	out, err := createFile(file, 0o600)
	if err != nil {
		return err
	}
	making := unfinishedOf(ctx)
	making.add(out)
	buffered := bufio.NewWriterSize(out, 1<<20)
	err = executor.Export(ctx, keys.env(nil), section, buffered)
	if err = errors.Join(err, buffered.Flush(), out.Sync(), out.Close()); err != nil {
		return errors.Join(err, making.remove())
	}
	making.done(out)
	return out.dir.Close()
}

// openPartFor is openPart for a command that writes: a disk that does not answer keeps nobody.
// What it returns is closed by CloseUntil.
func openPartFor(ctx context.Context, path, part string, o blockdev.OpenOptions) (*blockdev.Section, *blockdev.File, error) {
	type opened struct {
		section *blockdev.Section
		dev     *blockdev.File
	}
	found, err := abandon.Call(ctx, func() (opened, error) {
		section, dev, err := openPart(path, part, o)
		return opened{section, dev}, err
	}, func(late opened) { _ = late.dev.Close() })
	return found.section, found.dev, err
}

// openPart opens one partition of a disk.
func openPart(path, part string, o blockdev.OpenOptions) (*blockdev.Section, *blockdev.File, error) {
	dev, err := blockdev.Open(path, o)
	if err != nil {
		return nil, nil, err
	}
	extent, err := locatePart(dev, part)
	if err != nil {
		return nil, nil, errors.Join(err, dev.Close())
	}
	section, err := blockdev.NewSection(dev, extent)
	if err != nil {
		return nil, nil, errors.Join(err, dev.Close())
	}
	return section, dev, nil
}

// locatePart returns where the named partition of a disk lies.
func locatePart(dev blockdev.Device, part string) (disk.Extent, error) {
	found, err := namedPart(dev, part)
	return found.Extent, err
}

// namedPart returns the named partition of a disk.
func namedPart(dev blockdev.Device, part string) (disk.Partition, error) {
	snapshot, err := probe.Partitions(dev, 0)
	if err != nil {
		return disk.Partition{}, err
	}
	return findPart(snapshot, part, host.Gather("").Architecture)
}
