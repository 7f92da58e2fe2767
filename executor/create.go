package executor

import (
	"context"
	"fmt"
	"os"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/mkfs"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/planner/plan"
)

// create writes a new partition into unallocated space. A power cut at any of its
// writes leaves the old table, in which this space is still free.
func (x *run) create(ctx context.Context, a plan.Create) error {
	x.env.report(Event{Phase: Began, Action: a.Kind(), Partition: a.Number})
	part, err := blockdev.NewSection(x.dev, a.Extent)
	if err != nil {
		return err
	}
	if err := x.clean(part, a.Discard); err != nil {
		return err
	}
	c := creation{run: x, action: a, data: part}
	if err := c.fillVolume(ctx, x.volumes[a.Number]); err != nil {
		return err
	}
	x.env.report(Event{Phase: Done, Action: a.Kind(), Partition: a.Number})
	return nil
}

// signatures is how much of each end of a new partition is zeroed, so that no
// content of an earlier life is recognised there.
const signatures = disk.MiB

// clean removes what an earlier life left in part.
func (x *run) clean(part *blockdev.Section, discard bool) error {
	if discard || x.dev.ZeroesDiscarded() {
		if err := part.Discard(disk.Extent{Size: part.Size()}); err != nil {
			return err
		}
	}
	if x.dev.ZeroesDiscarded() {
		return nil
	}
	n := min(signatures, part.Size())
	if err := blockdev.WriteZeroes(part, disk.Extent{Size: n}); err != nil {
		return err
	}
	return blockdev.WriteZeroes(part, disk.Extent{Offset: part.Size() - n, Size: n})
}

// creation is one partition being filled.
type creation struct {
	*run
	action  plan.Create
	data    *blockdev.Section // where the content goes
	encrypt *encrypter        // nil for plain content, and where the kernel encrypts
	sector  disk.Bytes        // of the encryption, whoever does it; 0 for plain content
}

// fillVolume writes the content, as the content of v where that is not nil.
func (c *creation) fillVolume(ctx context.Context, v *volume) error {
	switch {
	case v == nil:
		return c.content(ctx)
	case v.throughKernel():
		return c.createInKernel(ctx, v)
	}
	if err := c.encryptInto(c.data, v); err != nil {
		return err
	}
	defer c.encrypt.cipher.Wipe()
	return c.content(ctx)
}

// encryptInto writes the header of v to part and makes the content go, encrypted,
// behind it. It takes the key of v.
func (c *creation) encryptInto(part *blockdev.Section, v *volume) error {
	offset := c.action.Encryption.DataOffset
	data, err := blockdev.NewSection(part, disk.Extent{Offset: offset, Size: part.Size() - offset})
	if err != nil {
		return fmt.Errorf("no room for a LUKS2 header of %s: %w", offset, err)
	}
	if _, err := part.WriteAt(v.front.bytes, 0); err != nil {
		return err
	}
	cipher, err := xts.Take(v.key)
	if err != nil {
		return err
	}
	c.data, c.encrypt = data, &encrypter{cipher: cipher, sectorSize: v.header.SectorSize()}
	c.sector = disk.Bytes(v.header.SectorSize())
	return nil
}

// content writes what the partition is to hold.
func (c *creation) content(ctx context.Context) error {
	switch {
	case c.action.Filesystem != nil:
		return c.filesystem(ctx)
	case c.action.CopyBlocks != "":
		return c.blocks(ctx)
	default:
		return nil
	}
}

// makeFilesystem makes the file system of a new partition in a sparse temporary file without a
// name, without root or device-mapper, while nothing is written to the disk yet: programs may
// fail, and files may not fit.
func (x *run) makeFilesystem(ctx context.Context, action plan.Action) error {
	a, ok := action.(plan.Create)
	if !ok || a.Filesystem == nil || x.left[a.Number] {
		return nil
	}
	size, sector := a.Extent.Size, disk.Bytes(0)
	if v := x.volumes[a.Number]; v != nil {
		size, sector = size-a.Encryption.DataOffset, disk.Bytes(v.header.SectorSize())
	}
	file, err := mkfs.Nameless(x.env.TempDir)
	if err != nil {
		return err
	}
	x.made[a.Number] = file
	if err := file.Truncate(int64(size.RoundDown(max(sector, 1)))); err != nil {
		return err
	}
	return x.asTempRoom(a, mkfs.Make(ctx, fmt.Sprintf("/proc/self/fd/%d", file.Fd()), x.mkfsOptions(a, sector)))
}

// filesystem copies what was written to the file system that was made.
func (c *creation) filesystem(ctx context.Context) error {
	file := c.made[c.action.Number]
	size, err := blockdev.SizeOf(file)
	if err != nil {
		return err
	}
	return c.fill(ctx, file, size, c.action.Filesystem.Format)
}

// mkfsOptions translates the action; sector is that of the encryption, 0 for plain content.
func (x *run) mkfsOptions(a plan.Create, sector disk.Bytes) mkfs.Filesystem {
	fs := a.Filesystem
	return mkfs.Filesystem{
		Format: fs.Format, Label: fs.Label, UUID: fs.UUID, SectorSize: max(x.plan.Target.SectorSize, sector), TempDir: x.env.TempDir,
		Epoch: x.env.Epoch, CopyFiles: copiesOf(a, x.env.Root),
	}
}

// copiesOf translates the files that go into a new file system, out of the tree root.
func copiesOf(a plan.Create, root string) (copies []mkfs.Copy) {
	for _, f := range a.Filesystem.CopyFiles {
		copies = append(copies, mkfs.Copy{Root: root, Source: f.Source, Target: f.Target, LeaveEmpty: f.LeaveEmpty})
	}
	return copies
}

// FileRoom returns how large the new file system of a must be for its files, that are below
// root, on a disk of that sector size; see mkfs.Room.
func FileRoom(a plan.Create, root string, sector disk.Bytes) (disk.Bytes, error) {
	if e := a.Encryption; e != nil {
		sector = max(sector, e.SectorSize)
	}
	return mkfs.Room(mkfs.Filesystem{Format: a.Filesystem.Format, SectorSize: sector, CopyFiles: copiesOf(a, root)})
}

// checkFiles refuses, before anything is written, files that a new file system cannot hold.
func (x *run) checkFiles(_ context.Context, action plan.Action) error {
	a, ok := action.(plan.Create)
	if !ok || x.left[a.Number] {
		return nil
	}
	return CheckFiles(x.env.Root, a)
}

// blocks copies an image or a block device.
func (c *creation) blocks(ctx context.Context) error {
	file, err := resolve.Sources(c.env.Root).Open(c.action.CopyBlocks, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := blockdev.SizeOf(file)
	if err != nil {
		return err
	}
	if size > c.data.Size() {
		return fmt.Errorf("%s has %d bytes, more than the %d of the partition", c.action.CopyBlocks, size, c.data.Size())
	}
	return c.fill(ctx, file, size, "")
}
