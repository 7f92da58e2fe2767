package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/executor"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/probe"
)

// openVerity opens a data partition by its root hash and prints where.
func openVerity(ctx context.Context, name, arg, rootHash string, out io.Writer) (err error) {
	path, part, err := parsePart(arg)
	if err != nil {
		return err
	}
	root, err := hex.DecodeString(rootHash)
	if err != nil || len(root) < 32 {
		return usageError{fmt.Errorf("--root-hash %q: want at least 64 hexadecimal digits", rootHash)}
	}
	dev, err := blockdev.Open(path, blockdev.OpenOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	data, hashes, err := verityParts(dev, part, root)
	if err != nil {
		return err
	}
	var pair executor.VerityPair
	if pair.Data, pair.DataOn, err = forKernel(dev, data); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.DataOn.Release()) }()
	if pair.Hashes, pair.HashesOn, err = forKernel(dev, hashes); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.HashesOn.Release()) }()
	device, err := executor.OpenVerity(ctx, name, pair, root)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, device)
	return err
}

// forKernel returns a part of a disk for us, and where the kernel finds it.
func forKernel(dev *blockdev.File, extent disk.Extent) (blockdev.Device, blockdev.Node, error) {
	section, err := blockdev.NewSection(dev, extent)
	if err != nil {
		return nil, blockdev.Node{}, err
	}
	node, err := dev.NodeOf(extent)
	return section, node, err
}

// verityParts finds the data partition that is named and the hash partition whose UUID is
// the second half of the root hash (Discoverable Partitions Specification).
func verityParts(dev blockdev.Device, part string, root []byte) (data, hashes disk.Extent, err error) {
	snapshot, err := probe.Partitions(dev, 0)
	if err != nil {
		return data, hashes, err
	}
	found, err := findPart(snapshot, part, host.Gather("").Architecture)
	if err != nil {
		return data, hashes, err
	}
	wanted, err := uuid.FromBytes(root[len(root)-16:])
	if err != nil {
		return data, hashes, err
	}
	i := slices.IndexFunc(snapshot.Partitions, func(p disk.Partition) bool { return p.UUID == wanted })
	if i < 0 {
		return data, hashes, fmt.Errorf("%s has no partition with the UUID %s, the second half of the root hash, for its hashes", snapshot.Path, wanted)
	}
	return found.Extent, snapshot.Partitions[i].Extent, nil
}
