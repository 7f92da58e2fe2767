package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/probe"
	"github.com/sealpart/sealpart/verity"
	"github.com/spf13/cobra"
)

// What veritysetup takes when it is not told.
const (
	verityBlockSize = 4096 // bytes, of data and of hash blocks
	veritySaltSize  = 32   // bytes
)

func verityFormatCommand() *cobra.Command {
	var salt, id, mode string
	cmd := &cobra.Command{
		Use:   "format [flags] DATA HASH",
		Short: "Write the hash tree of DATA to HASH and print the root hash",
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, err := newProgress(mode, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			superblock, err := newSuperblock(salt, id)
			if err != nil {
				return err
			}
			root, err := formatVerity(cmd.Context(), args[0], args[1], superblock, progress)
			progress.finish()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%x\n", root)
			return err
		},
	}
	cmd.Flags().StringVar(&salt, "salt", "", "`HEX` to hash before each block, or \"-\" for nothing (default: 32 random bytes)")
	cmd.Flags().StringVar(&id, "uuid", "", "`UUID` of the tree (default: a random one)")
	registerProgress(cmd, &mode)
	return cmd
}

// newSuperblock returns the superblock that the flags ask for, without its data.
func newSuperblock(salt, id string) (verity.Superblock, error) {
	sb := verity.Superblock{
		UUID: uuid.New(), Algorithm: "sha256", DataBlockSize: verityBlockSize, HashBlockSize: verityBlockSize,
	}
	var err error
	switch salt {
	case "-":
	case "":
		sb.Salt = make([]byte, veritySaltSize)
		rand.Read(sb.Salt) // never fails
	default:
		if sb.Salt, err = hex.DecodeString(salt); err != nil || len(sb.Salt) > verity.MaxSaltSize {
			return sb, usageError{fmt.Errorf("--salt=%s: want up to %d bytes as hexadecimal digits, or \"-\"", salt, verity.MaxSaltSize)}
		}
	}
	if id != "" {
		if sb.UUID, err = uuid.Parse(id); err != nil {
			return sb, usageError{fmt.Errorf("--uuid=%s: not a UUID", id)}
		}
	}
	return sb, nil
}

// formatVerity writes a tree that is durable, the name of a new file and all, before
// the root hash is told to anybody. A file that was not there is not there after a
// failure.
func formatVerity(ctx context.Context, dataArg, hashArg string, sb verity.Superblock, progress *progress) (root []byte, err error) {
	created, err := createMissing(hashArg)
	if err != nil {
		return nil, err
	}
	making := unfinishedOf(ctx)
	if created != nil {
		making.add(created)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, making.remove())
		} else {
			making.done(created)
		}
	}()
	hashes, err := openHashes(hashArg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hashes.disk.CloseUntil(ctx)) }()
	data, err := hashes.openData(dataArg)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	held, err := hashes.claim(dataArg, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	sb.DataBlocks = int64(data.size) / int64(sb.DataBlockSize)
	section, err := hashes.prepare(sb)
	if err != nil {
		return nil, err
	}
	making.begin()
	root, err = verity.Format(ctx, data, section, verity.Options{Superblock: sb, Progress: progress.of("verity format", data.size)})
	if err = errors.Join(err, section.Sync()); err == nil && created != nil {
		err = created.dir.Sync()
	}
	if err != nil {
		err = changedError{err}
	}
	return root, err
}

// createMissing makes an empty file of a name that is not there, and returns nil where
// something is. A power cut may leave it.
func createMissing(arg string) (*newFile, error) {
	if _, err := os.Lstat(arg); err == nil || strings.Contains(arg, "#") {
		return nil, nil
	}
	created, err := createFile(arg, 0o666)
	if err != nil {
		return nil, err
	}
	return created, created.Close()
}

// hashDevice is where a tree is written: a device, a file or a partition, under the
// exclusive lock of its disk.
type hashDevice struct {
	arg    string
	disk   *blockdev.File
	extent disk.Extent
	fixed  bool // the extent cannot grow
}

func openHashes(arg string) (h *hashDevice, err error) {
	path, part, isPart := arg, "", strings.Contains(arg, "#")
	if isPart {
		if path, part, err = parsePart(arg); err != nil {
			return nil, err
		}
	}
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		return nil, err
	}
	h = &hashDevice{arg: arg, disk: dev, extent: disk.Extent{Size: dev.Size()}, fixed: isPart || dev.IsBlockDevice()}
	if isPart {
		if h.extent, err = locatePart(dev, part); err != nil {
			return nil, errors.Join(err, dev.Close())
		}
	}
	return h, nil
}

// openData opens the data, and refuses bytes that the tree would be written over. A
// partition of the same disk is read through the disk that is open already, since
// its exclusive lock keeps out everybody, us too.
func (h *hashDevice) openData(arg string) (input, error) {
	path, part, isPart := arg, "", strings.Contains(arg, "#")
	if isPart {
		var err error
		if path, part, err = parsePart(arg); err != nil {
			return input{}, err
		}
	}
	if same, err := sameFile(path, h.disk.Name()); err != nil {
		return input{}, err
	} else if !same {
		return openInput(arg)
	}
	extent := disk.Extent{Size: h.disk.Size()}
	if isPart {
		var err error
		if extent, err = locatePart(h.disk, part); err != nil {
			return input{}, err
		}
	}
	if !isPart || extent.Overlaps(h.extent) {
		return input{}, usageError{fmt.Errorf("the tree in %s would be written over its data in %s", h.arg, arg)}
	}
	section, err := blockdev.NewSection(h.disk, extent)
	return input{section, io.NopCloser(nil), extent.Size, h.disk, extent}, err
}

func sameFile(a, b string) (bool, error) {
	first, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second), err
}

// prepare checks that nothing is lost and that there is room, and makes the room in
// a file. Nothing has been written before; a power cut leaves a longer file.
func (h *hashDevice) prepare(sb verity.Superblock) (*blockdev.Section, error) {
	size, err := sb.TreeSize()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(h.checkContent(), h.checkHolders()); err != nil {
		return nil, err
	}
	if need := disk.Bytes(size); need > h.extent.Size {
		if h.fixed {
			return nil, fmt.Errorf("%s has %d bytes; the tree takes %d", h.arg, h.extent.Size, need)
		}
		if err := h.disk.Grow(need); err != nil {
			return nil, err
		}
		h.extent.Size = need
	}
	return blockdev.NewSection(h.disk, h.extent)
}

// checkContent refuses to write over what anybody would miss: everything that is
// known, but an older tree.
func (h *hashDevice) checkContent() error {
	section, err := blockdev.NewSection(h.disk, h.extent)
	if err != nil {
		return err
	}
	found, err := probe.Content(section, h.extent.Size)
	if err != nil {
		return fmt.Errorf("%s: %w", h.arg, err)
	}
	kinds := append([]string{found.Kind}, found.Ambiguous...)
	for _, kind := range kinds {
		if kind != "" && kind != "DM_verity_hash" {
			return &contentError{h.arg, kind}
		}
	}
	return nil
}

// contentError refuses to write a tree over something else.
type contentError struct{ arg, kind string }

func (e *contentError) Error() string {
	return fmt.Sprintf("%s holds something already (%s), which the tree would be written over", e.arg, e.kind)
}

// Hint says what to do with the content.
func (e *contentError) Hint() string {
	return "HASH is the second argument; only an older hash tree is overwritten. If nobody needs what is there, erase it with wipefs first"
}

// checkHolders refuses to write to what is in use.
func (h *hashDevice) checkHolders() error {
	holders, err := h.disk.Holders()
	if err != nil {
		return err
	}
	for _, holder := range holders {
		if holder.Extent.Overlaps(h.extent) {
			return fmt.Errorf("%s is in use: %s", h.arg, holder)
		}
	}
	return nil
}
