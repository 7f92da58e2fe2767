package mkfs

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
)

// makeVFAT makes a FAT file system, FAT32 where it is large enough, as firmware
// likes its system partition best.
func makeVFAT(ctx context.Context, image *os.File, fs Filesystem) error {
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
	return fillVFAT(ctx, image, fs)
}

// minFAT32 is the least that holds a FAT32: 65525 clusters of a sector (Microsoft's
// FAT specification, "FAT type determination"), two tables of them in 4 bytes each,
// what is reserved.
func minFAT32(sector disk.Bytes) disk.Bytes {
	const clusters = 65525
	table := disk.Bytes((clusters + 2) * 4).RoundUp(sector)
	return (clusters+64)*sector + 2*table
}

// fillVFAT copies the files with mtools, which need no mount.
func fillVFAT(ctx context.Context, image *os.File, fs Filesystem) error {
	m := mtools{ctx: ctx, image: image, fs: fs, made: map[string]bool{"/": true}}
	for _, c := range fs.CopyFiles {
		if err := m.directories(path.Dir(path.Clean(c.Target))); err != nil {
			return err
		}
		err := c.walk(m.copy)
		if err == nil {
			err = m.flush()
		}
		if err != nil {
			return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
	}
	return nil
}

// mtools puts files into a FAT image. Files that go into one directory under their
// own names wait for each other and go with one call.
type mtools struct {
	ctx     context.Context
	image   *os.File
	fs      Filesystem
	made    map[string]bool // directories, in lower case: FAT knows no other
	waiting []string
	into    string
}

// maxWaiting keeps the arguments of one call far below the kernel's limit.
const maxWaiting = 128

// copy takes one entry. Links are followed, as FAT has none.
func (m *mtools) copy(e entry) error {
	info, err := os.Stat(e.source)
	if err != nil {
		return err
	}
	switch {
	case strings.ContainsFunc(path.Base(e.target), notInFAT) && e.target != "/":
		return fmt.Errorf("%s: FAT cannot hold a file of the name %q", e.source, path.Base(e.target))
	case e.info.IsDir():
		return m.directories(e.target)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: FAT holds only files and directories", e.source)
	case filepath.Base(e.source) != path.Base(e.target):
		return m.run("mcopy", "-Q", "-o", "-m", e.source, "::"+e.target)
	}
	if dir := path.Dir(e.target); dir != m.into || len(m.waiting) == maxWaiting {
		if err := m.flush(); err != nil {
			return err
		}
		m.into = dir
	}
	m.waiting = append(m.waiting, e.source)
	return nil
}

// notInFAT tells the characters that long names exclude (Microsoft's FAT
// specification, "Long Directory Entries").
func notInFAT(r rune) bool { return r < ' ' || strings.ContainsRune(`"*:<>?\|`, r) }

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
	if m.made[strings.ToLower(dir)] {
		return nil
	}
	if err := m.directories(path.Dir(dir)); err != nil {
		return err
	}
	m.made[strings.ToLower(dir)] = true
	return m.run("mmd", "::"+dir)
}

func (m *mtools) run(name string, args ...string) error {
	return run(m.ctx, command{name: name, args: append([]string{"-i", given(0)}, args...), files: []*os.File{m.image}, epoch: m.fs.Epoch})
}
