package mkfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/internal/disk"
)

// Window is the part of an image file or block device in which a file system lies.
//
// A partition of a disk is worked on through the whole disk's node, never through
// the partition's own: the kernel caches the two apart, and whoever reads the disk
// afterwards would see what was there before.
type Window struct {
	Path   string
	Offset disk.Bytes
	Size   disk.Bytes
}

// CheckExt checks the ext2, ext3 or ext4 in w and mends what can be mended without
// loss (e2fsck -f -p), after it has finished a shrink that a power cut interrupted.
// It fails where a human must decide, and leaves that as it is but for harmless
// repairs already made. A power cut leaves a file system to be checked again. It is
// not interrupted: ctx counts only at the start.
func CheckExt(ctx context.Context, w Window) error {
	if _, err := FinishShrink(ctx, w); err != nil {
		return err
	}
	// Exit code 1 says that errors were found and mended.
	return w.run(ctx, command{name: "e2fsck", args: []string{"-f", "-p"}, good: []int{1}})
}

// TryCheckExt fails where CheckExt would. Nothing is written: e2fsck works on an overlay
// in memory. A shrink that a power cut interrupted must have been finished.
func TryCheckExt(ctx context.Context, w Window) (err error) {
	if _, err := w.superblock(); err != nil {
		return err
	}
	p, err := w.open(os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	o, err := newOverlay(p, int64(w.Size))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	check := command{name: "e2fsck", args: []string{"-f", "-p", given(0)}, good: []int{1}, files: []*os.File{o.file}, overlay: o}
	if err := run(ctx, check); err != nil {
		return fmt.Errorf("%s at %d: %w", w.Path, w.Offset, err)
	}
	return nil
}

// run starts a program of the e2fsprogs on w. Once begun it must not be killed: it
// would leave what a power cut leaves.
func (w Window) run(ctx context.Context, c command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := filepath.Abs(w.Path)
	if err != nil {
		return err
	}
	if strings.Contains(path, "?") {
		return fmt.Errorf("%s: e2fsprogs take what follows the \"?\" for options; rename it", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	c.untruncated = info.Mode().IsRegular()
	if w.Offset > 0 {
		path += "?offset=" + strconv.FormatInt(int64(w.Offset), 10)
	}
	c.args = append(c.args, path)
	if err := run(context.WithoutCancel(ctx), c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// superblock reads that of the file system, and refuses one that reaches out of w:
// the e2fsprogs would go on in the neighbour.
func (w Window) superblock() (superblock, error) {
	if info, err := os.Stat(w.Path); err != nil {
		return superblock{}, err
	} else if info.Mode().IsRegular() && int64(w.Offset+w.Size) > info.Size() {
		return superblock{}, fmt.Errorf("%s has %d bytes, too few for %d at %d", w.Path, info.Size(), w.Size, w.Offset)
	}
	s, err := readSuperblock(w.Path, w.Offset)
	if err == nil && s.size > w.Size {
		err = fmt.Errorf("%s at %d: the file system says it has %d bytes, more than the %d of its place", w.Path, w.Offset, s.size, w.Size)
	}
	return s, err
}
