package mkfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealpart/sealpart/disk"
)

// Window is the part of an image file or block device in which a file system lies.
//
// A partition of a disk is worked on through the whole disk's node, never through
// the partition's own: the kernel caches the two apart, and whoever reads the disk
// afterwards would see what was there before.
type Window struct {
	Path   string // by which it is opened; that of a descriptor where the name may be another's by now
	Name   string // as errors show it, "" for Path
	Offset disk.Bytes
	Size   disk.Bytes
}

// name is that of the disk as errors show it.
func (w Window) name() string { return cmp.Or(w.Name, w.Path) }

// CheckExt checks the ext2, ext3 or ext4 in w and mends what can be mended without
// loss (e2fsck -f -p), after it has finished a shrink that a power cut interrupted: also
// what a journal holds that was not replayed. It fails where a human must decide, and
// leaves that as it is. A power cut leaves a file system to be checked again. The end of
// ctx ends the program, before anything was written; what is written then is not interrupted.
//
// The program gets a copy in memory of the file system and nothing else: on the whole
// disk's node it would want the disk for itself, and could write outside the file system.
func CheckExt(ctx context.Context, w Window) error {
	if _, err := FinishShrink(ctx, w); err != nil {
		return err
	}
	return w.check(ctx, os.O_RDWR, (*overlay).mend)
}

// TryCheckExt fails where CheckExt would. Nothing is written. A shrink that a power cut
// interrupted must have been finished.
func TryCheckExt(ctx context.Context, w Window) error {
	return w.check(ctx, os.O_RDONLY, func(*overlay, device, superblock) error { return nil })
}

// TryShrinkExt fails where CheckExt, or ShrinkExt to size bytes after it, would: it does both in
// memory, and nothing is written. A shrink that a power cut interrupted must have been finished.
func TryShrinkExt(ctx context.Context, w Window, size disk.Bytes) error {
	return w.check(ctx, os.O_RDONLY, func(mended *overlay, _ device, s superblock) error {
		if size = size.RoundDown(s.blockSize); size >= s.size {
			return nil
		}
		return w.onShrunk(ctx, mended, s, size, func(change, *overlay) error { return nil })
	})
}

// check runs e2fsck on an overlay in memory, and then does with it what is left to do.
func (w Window) check(ctx context.Context, flags int, then func(*overlay, device, superblock) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := w.superblock()
	if err != nil {
		return err
	}
	p, err := w.open(flags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	o, err := newOverlay(p, int64(w.Size))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	// Exit code 1 says that errors were found and mended.
	check := command{name: "e2fsck", args: []string{"-f", "-p", given(0)}, good: []int{1}, files: []*os.File{o.file}, overlay: o}
	err = run(ctx, check)
	if err == nil {
		err = then(o, p, s)
	}
	if err != nil {
		return fmt.Errorf("%s at %d: %w", w.name(), w.Offset, err)
	}
	return nil
}

// superblock reads that of the file system, and refuses one that reaches out of w:
// the e2fsprogs would go on in the neighbour.
func (w Window) superblock() (superblock, error) {
	if info, err := os.Stat(w.Path); err != nil {
		return superblock{}, err
	} else if info.Mode().IsRegular() && int64(w.Offset+w.Size) > info.Size() {
		return superblock{}, fmt.Errorf("%s has %d bytes, too few for %d at %d", w.name(), info.Size(), w.Size, w.Offset)
	}
	s, err := w.readSuperblock()
	if err == nil && s.size > w.Size {
		err = fmt.Errorf("%s at %d: the file system says it has %d bytes, more than the %d of its place", w.name(), w.Offset, s.size, w.Size)
	}
	return s, err
}
