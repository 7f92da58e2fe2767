package mkfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/resolve"
)

// Filesystem is what Make makes.
type Filesystem struct {
	Format string // "ext4", "vfat" or "swap"
	// Label is shortened, and for vfat changed to its letters, where the format
	// cannot hold it; "" means none.
	Label string
	// UUID identifies it; a vfat has only 32 bits, the UUID's first four bytes.
	UUID uuid.UUID
	// SectorSize is that of the device it is for; blocks are not smaller. 512 to
	// 4096, 0 means 512.
	SectorSize disk.Bytes
	// CopyFiles are put into it, later ones over earlier ones.
	CopyFiles []Copy
	// Epoch is every time stamp that does not come from a copied file
	// (SOURCE_DATE_EPOCH); nil means now.
	Epoch *time.Time
	// TempDir is where copied files are staged; "" means os.TempDir.
	TempDir string
}

// Copy copies the file or directory Source to the absolute path Target of the new file
// system. A directory's content goes into Target; missing parents are made.
type Copy struct {
	// Root is the tree of this machine that Source is in, "" for all of it. Links of the tree
	// do not lead out of it.
	Root   string
	Source string
	Target string
	// LeaveEmpty are directories below Source, relative to it, that are copied
	// without their content.
	LeaveEmpty []string
}

// Make makes fs in path: a regular file that already has the size the file system
// is to have and reads as zero, be it one without a name, or a block device. Whatever was there is lost. A
// power cut leaves an unfinished file system; nothing may refer to path before Make
// returned. It fails where a program is missing or fails, where a source cannot be
// read, and where the files do not fit. When ctx is done the programs are killed.
func Make(ctx context.Context, path string, fs Filesystem) (err error) {
	if fs.TempDir, err = resolve.Temp(fs.TempDir); err != nil {
		return err
	}
	if fs.SectorSize == 0 {
		fs.SectorSize = 512
	}
	if fs.SectorSize < 512 || fs.SectorSize > 4096 || fs.SectorSize&(fs.SectorSize-1) != 0 {
		return fmt.Errorf("make %s: a sector size of %d is not 512, 1024, 2048 or 4096", fs.Format, fs.SectorSize)
	}
	if err := checkCopies(fs.CopyFiles); err != nil {
		return err
	}
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	switch fs.Format {
	case "ext4":
		return makeExt(ctx, image, fs)
	case "vfat":
		return makeVFAT(ctx, image, fs)
	case "swap":
		return makeSwap(ctx, image, fs)
	default:
		return unknownFormat(fs.Format)
	}
}

// CheckFiles makes sure, without writing anything, that the sources of fs are there and
// that it can hold files of their names.
func CheckFiles(fs Filesystem) error {
	if err := checkCopies(fs.CopyFiles); err != nil || fs.Format != "vfat" {
		return err
	}
	_, err := planFAT(fs.CopyFiles)
	return err
}

func unknownFormat(format string) error {
	return fmt.Errorf("file systems of format %q cannot be made, only ext4, vfat and swap", format)
}

// now is the time that new inodes get.
func (fs Filesystem) now() time.Time {
	if fs.Epoch != nil {
		return *fs.Epoch
	}
	return time.Now()
}
