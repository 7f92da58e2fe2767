package mkfs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// makeVFAT makes a FAT file system, FAT32 where it is large enough, as firmware
// likes its system partition best.
func makeVFAT(ctx context.Context, image *os.File, fs Filesystem) error {
	names, err := planFAT(fs.CopyFiles)
	if err != nil {
		return err
	}
	size, err := blockdev.SizeOf(image)
	if err != nil {
		return err
	}
	args := []string{"--invariant", "-i", hex.EncodeToString(fs.UUID[:4]), "-S", strconv.Itoa(int(fs.SectorSize))}
	if label := vfatLabel(fs.Label); label != "" {
		args = append(args, "-n", label)
	}
	if size >= minFAT32(fs.SectorSize) {
		args = append(args, "-F", "32")
		if fs.SectorSize == 4096 {
			// Left alone, mkfs.vfat makes clusters so large that a small FAT32 has
			// too few of them to be one.
			args = append(args, "-s", "1")
		}
	}
	if err := run(ctx, command{name: "mkfs.vfat", args: append(args, given(0)), files: []*os.File{image}, epoch: fs.Epoch}); err != nil {
		return err
	}
	return fillVFAT(ctx, image, fs, names)
}

// minFAT32 is the least that holds a FAT32: 65525 clusters of a sector (Microsoft's
// FAT specification, "FAT type determination"), two tables of them in 4 bytes each,
// what is reserved.
func minFAT32(sector disk.Bytes) disk.Bytes {
	const clusters = 65525
	table := disk.Bytes((clusters + 2) * 4).RoundUp(sector)
	return (clusters+64)*sector + 2*table
}

// fillVFAT copies the files with mtools, which need no mount, and looks at what they made
// of it.
func fillVFAT(ctx context.Context, image *os.File, fs Filesystem, names *fatTree) error {
	m := mtools{ctx: ctx, image: image, fs: fs, names: names, made: map[string]bool{"/": true}}
	for _, c := range fs.CopyFiles {
		if err := m.copyAll(c); err != nil {
			return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
	}
	return settleFAT(image, names)
}

// copyAll copies a source with all below it.
func (m *mtools) copyAll(c Copy) error {
	in, _, err := c.open()
	if err != nil {
		return err
	}
	defer in.Close()
	if m.from, err = in.Open("."); err != nil {
		return err
	}
	defer m.from.Close()
	m.tree, m.exposed = c.tree(), c.exposed()
	if err := m.directories(path.Dir(path.Clean(c.Target))); err != nil {
		return err
	}
	return errors.Join(c.walk(m.copy), m.flush())
}

// mtools puts files into a FAT image. Files that go into one directory under their
// own names wait for each other and go with one call.
type mtools struct {
	ctx     context.Context
	image   *os.File
	fs      Filesystem
	names   *fatTree
	made    map[string]bool // directories, as they are written
	waiting []string
	into    string
	exposed bool         // others can change it meanwhile
	from    *os.File     // the directory that files are copied from
	tree    resolve.Tree // where it is
}

// maxWaiting keeps the arguments of one call far below the kernel's limit.
const maxWaiting = 128

// copy takes one entry. Links are followed inside their tree, as FAT has none.
func (m *mtools) copy(e entry) error {
	target, err := m.names.onDisk(e.target)
	if err != nil {
		return err
	}
	switch {
	case e.info.Mode()&os.ModeSymlink != 0:
		return m.copyBehind(e, target)
	case e.info.IsDir():
		return m.directories(e.target)
	case !e.info.Mode().IsRegular():
		return fmt.Errorf("%s: FAT holds only files and directories", e.source)
	case m.exposed:
		return m.copyOpen(e, target)
	case path.Base(e.name) != path.Base(target):
		return m.run("mcopy", "-Q", "-o", "-m", belowFrom(e), "::"+target)
	}
	if dir := path.Dir(target); dir != m.into || len(m.waiting) == maxWaiting {
		if err := m.flush(); err != nil {
			return err
		}
		m.into = dir
	}
	m.waiting = append(m.waiting, belowFrom(e))
	return nil
}

// belowFrom is the path of an entry for programs that are given m.from as well.
func belowFrom(e entry) string { return given(1) + "/" + e.name }

// copyBehind takes what a link leads to: of a directory only that there is one.
func (m *mtools) copyBehind(e entry, target string) error {
	file, err := m.tree.Open(e.at, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return m.directories(e.target)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: FAT holds only files and directories", e.source)
	}
	return m.copyFrom(file, target)
}

// copyFrom copies an open file, after those that wait.
func (m *mtools) copyFrom(file *os.File, target string) error {
	if err := m.flush(); err != nil {
		return err
	}
	return m.runWith(file, "mcopy", "-Q", "-o", "-m", given(1), "::"+target)
}

// copyOpen takes a file by its descriptor.
func (m *mtools) copyOpen(e entry, target string) error {
	file, err := e.openFile()
	if err != nil {
		return err
	}
	defer file.Close()
	return m.copyFrom(file, target)
}

// flush copies the files that wait.
func (m *mtools) flush() error {
	if len(m.waiting) == 0 {
		return nil
	}
	args := append([]string{"-Q", "-o", "-m"}, m.waiting...)
	m.waiting = nil
	return m.run("mcopy", append(args, "::"+strings.TrimSuffix(m.into, "/")+"/")...)
}

// directories makes dir and those above it.
func (m *mtools) directories(dir string) error {
	target, err := m.names.onDisk(dir)
	if err != nil || m.made[target] {
		return err
	}
	if err := m.directories(path.Dir(dir)); err != nil {
		return err
	}
	m.made[target] = true
	return m.run("mmd", "::"+target)
}

func (m *mtools) run(name string, args ...string) error { return m.runWith(m.from, name, args...) }

// runWith runs a program that is given the image and one more file.
func (m *mtools) runWith(file *os.File, name string, args ...string) error {
	return run(m.ctx, command{name: name, args: append([]string{"-i", given(0)}, args...), files: []*os.File{m.image, file}, epoch: m.fs.Epoch})
}
