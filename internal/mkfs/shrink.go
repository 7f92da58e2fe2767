package mkfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/sealpart/sealpart/disk"
)

// ShrinkExt makes the file system in w size bytes large at most, rounded down to its blocks, or
// to its groups where the last one would be small; one that is no larger is left as it is. It must have passed CheckExt. It fails,
// with nothing changed, where the content does not fit.
//
// resize2fs alone will not do: cut off late, it leaves inodes renumbered and
// directories that still have the old numbers, and no checker puts that right without
// losing names. Its own undo file (-z) is not synced before what it undoes, and would
// need another disk. So it works on an overlay in memory, e2fsck must find the result
// faultless, and then the blocks that differ are committed like a transaction: see
// change.commit. A power cut leaves the old file system, or one that FinishShrink and
// CheckExt make the new one of without starting a program. Memory: what resize2fs
// writes, the blocks that it moves above all.
//
// The end of ctx ends the programs, before anything was written; the commit is not
// interrupted.
func ShrinkExt(ctx context.Context, w Window, size disk.Bytes) (err error) {
	s, err := w.superblock()
	if err != nil {
		return err
	}
	if size = size.RoundDown(s.blockSize); size >= s.size {
		return nil
	}
	p, err := w.open(os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	err = w.onShrunk(ctx, p, s, size, func(c change, o *overlay) error { return c.commit(p, int64(w.Size), o) })
	if err != nil {
		return fmt.Errorf("%s at %d: %w", w.name(), w.Offset, err)
	}
	return nil
}

// onShrunk shrinks the file system below, which has the superblock s, in an overlay, and does
// with what that changes what is left to do. resize2fs leaves a last group out that would have
// little more than its own tables: the file system may become smaller than size.
func (w Window) onShrunk(ctx context.Context, below io.ReaderAt, s superblock, size disk.Bytes, then func(change, *overlay) error) (err error) {
	o, err := newOverlay(below, int64(w.Size))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.shrink(ctx, size); err != nil {
		return err
	}
	after, err := o.superblock()
	if err != nil {
		return err
	}
	if after.size > size || after.blockSize != s.blockSize {
		return fmt.Errorf("resize2fs made the file system %d bytes large, not %d", after.size, size)
	}
	c, err := o.sort(below, int64(s.blockSize), int64(after.size))
	if err != nil {
		return err
	}
	return then(c, o)
}

// shrink shrinks the file system in the overlay, and looks at what came of it.
func (o *overlay) shrink(ctx context.Context, size disk.Bytes) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// resize2fs counts in sectors of 512 bytes when told "s". Without "-f" it refuses what
	// it believes too small, which of blocks of 1 KiB is often all but the present size; here
	// it may try, and e2fsck says whether it went well.
	resize := command{
		name: "resize2fs", args: []string{"-f", given(0), strconv.FormatInt(int64(size/512), 10) + "s"}, files: []*os.File{o.file}, overlay: o,
	}
	if err := run(ctx, resize); err != nil {
		return err
	}
	return run(ctx, command{name: "e2fsck", args: []string{"-f", "-n", given(0)}, files: []*os.File{o.file}, overlay: o})
}

// superblock reads that of the file system in the overlay.
func (o *overlay) superblock() (superblock, error) {
	sb, err := superblockOf(o)
	if err != nil {
		return superblock{}, err
	}
	return parseSuperblock(sb)
}

// ShrinkPending reports whether the ext file system in r has a shrink to be finished by
// FinishShrink.
func ShrinkPending(r io.ReaderAt) (bool, error) {
	sb, err := superblockOf(r)
	if err != nil {
		return false, err
	}
	_, pending := markOf(sb)
	return pending, nil
}

// FinishShrink finishes a shrink of the ext file system in w that a power cut
// interrupted after its commit point, and reports whether there was one. Until then no
// kernel mounts the file system. It starts no program, and writes nothing where
// nothing is to be finished.
func FinishShrink(ctx context.Context, w Window) (finished bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if _, err := w.superblock(); err != nil {
		return false, err
	}
	p, err := w.open(os.O_RDONLY)
	if err != nil {
		return false, err
	}
	sb, err := superblockOf(p)
	if err := errors.Join(err, p.Close()); err != nil {
		return false, err
	}
	if _, ok := markOf(sb); !ok {
		return false, nil
	}
	if p, err = w.open(os.O_RDWR); err != nil {
		return false, err
	}
	finished, err = finish(p, int64(w.Size))
	if err = errors.Join(err, p.Close()); err != nil {
		err = fmt.Errorf("%s at %d: %w", w.name(), w.Offset, err)
	}
	return finished, err
}
