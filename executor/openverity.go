package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/dm"
	"github.com/sealpart/sealpart/verity"
)

// VerityPair are the data partition and the hash partition of a dm-verity device, and
// where the kernel finds them.
type VerityPair struct {
	Data, Hashes     blockdev.Device
	DataOn, HashesOn blockdev.Node
}

// OpenVerity makes the device-mapper device name of a pair, read-only, and returns the
// path of its node. The kernel then checks each block against the root hash when it is
// read. A root hash of another tree is refused. Nothing is written.
func OpenVerity(ctx context.Context, name string, pair VerityPair, rootHash []byte) (string, error) {
	sb, err := verity.ReadSuperblock(pair.Hashes)
	if err != nil {
		return "", err
	}
	target, err := pair.target(sb, rootHash)
	if err != nil {
		return "", err
	}
	uuid := volumePrefix + "VERITY-" + strings.ReplaceAll(sb.UUID.String(), "-", "") + "-" + name
	device, err := dm.Create(ctx, name, uuid, []dm.Target{target}, dm.Options{ReadOnly: true})
	if err != nil {
		return "", err
	}
	if err := readFirst(device, sb.DataBlockSize); err != nil {
		err = fmt.Errorf("the first block is not what the root hash promises: %w", err)
		return "", errors.Join(err, dm.Remove(ctx, name))
	}
	return device, nil
}

// target returns the table of the device.
func (p VerityPair) target(sb verity.Superblock, rootHash []byte) (dm.Target, error) {
	tree, err := sb.TreeSize()
	if err != nil {
		return dm.Target{}, err
	}
	digest, err := sb.DigestSize()
	switch {
	case err != nil:
		return dm.Target{}, err
	case len(rootHash) != digest:
		return dm.Target{}, fmt.Errorf("root hash of %d bytes: %s has %d", len(rootHash), sb.Algorithm, digest)
	case tree > int64(p.Hashes.Size()) || sb.DataBlocks > int64(p.Data.Size())/int64(sb.DataBlockSize):
		return dm.Target{}, fmt.Errorf("the tree is of %d blocks of %d bytes, more than there are", sb.DataBlocks, sb.DataBlockSize)
	case p.DataOn.Offset != 0 || p.HashesOn.Offset != 0:
		return dm.Target{}, errors.New("the kernel does not know the partitions (partprobe makes it look)")
	}
	v := dm.Verity{
		HashType: 1, Data: p.DataOn.Device, Hash: p.HashesOn.Device, DataBlockSize: sb.DataBlockSize, HashBlockSize: sb.HashBlockSize,
		DataBlocks: sb.DataBlocks, HashStart: 1, Algorithm: sb.Algorithm, Root: rootHash, Salt: sb.Salt,
	}
	return v.Target(), nil
}

// readFirst reads the first block of a device: all levels of the tree are checked for it.
func readFirst(device string, size int) error {
	file, err := os.Open(device)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(file, make([]byte, size))
	return errors.Join(err, file.Close())
}
