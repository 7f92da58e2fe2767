package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// HolderKind says in which way something is in use.
type HolderKind string

// The ways in which a disk, or a part of it, can be in use.
const (
	Mounted HolderKind = "mount"  // a mounted file system
	Swap    HolderKind = "swap"   // active swap space
	Stacked HolderKind = "device" // below a device-mapper or RAID device
	Looped  HolderKind = "loop"   // behind a loop device
)

// Holder is one use of a disk or of a part of it, by someone else.
type Holder struct {
	Kind   HolderKind
	Where  string      // the mount point, the swap area, or the device above
	Device string      // what is in use: "sda2"; the path of an image file
	Extent disk.Extent // where that lies on the disk
}

// String writes the holder for people: "sda2 is mounted at /boot".
func (h Holder) String() string {
	switch h.Kind {
	case Mounted:
		return fmt.Sprintf("%s is mounted at %s", h.Device, h.Where)
	case Swap:
		return fmt.Sprintf("%s is active swap space", h.Device)
	case Looped:
		return fmt.Sprintf("%s is attached to %s", h.Device, h.Where)
	default:
		return fmt.Sprintf("%s is held by %s", h.Device, h.Where)
	}
}

// Holders lists who else uses the disk, its partitions, or the image file. A file
// system that the kernel mounts through a device above is seen as that device.
func (f *File) Holders() ([]Holder, error) {
	holders, err := f.loops()
	if err != nil || !f.block {
		return holders, err
	}
	parts, err := f.parts()
	if err != nil {
		return nil, err
	}
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	swaps, err := swapAreas()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		holders = append(holders, p.holders(Mounted, mounts[p.number])...)
		holders = append(holders, p.holders(Swap, swaps[p.number])...)
		above, err := entries(filepath.Join(p.sysfs, "holders"))
		if err != nil {
			return nil, err
		}
		holders = append(holders, p.holders(Stacked, above)...)
	}
	return holders, nil
}

// part is a disk or one of its partitions, as sysfs shows it.
type part struct {
	sysfs  string
	number string // "8:2"
	extent disk.Extent
}

// holders makes a Holder of each place.
func (p part) holders(kind HolderKind, places []string) []Holder {
	var holders []Holder
	for _, where := range places {
		holders = append(holders, Holder{Kind: kind, Where: where, Device: filepath.Base(p.sysfs), Extent: p.extent})
	}
	return holders
}

// parts lists the device itself and the partitions that the kernel knows on it.
func (f *File) parts() ([]part, error) {
	sysfs, err := f.sysfs()
	if err != nil {
		return nil, err
	}
	number, err := readLine(filepath.Join(sysfs, "dev"))
	if err != nil {
		return nil, err
	}
	parts := []part{{sysfs: sysfs, number: number, extent: disk.Extent{Size: f.size}}}
	below, err := filepath.Glob(filepath.Join(sysfs, "*", "partition"))
	if err != nil {
		return nil, err
	}
	for _, path := range below {
		p, err := readPart(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// readPart reads one partition's place from sysfs, which counts in 512 bytes
// whatever the sector size.
func readPart(sysfs string) (part, error) {
	var values [3]string
	for i, name := range []string{"dev", "start", "size"} {
		var err error
		if values[i], err = readLine(filepath.Join(sysfs, name)); err != nil {
			return part{}, err
		}
	}
	start, err := strconv.ParseInt(values[1], 10, 64)
	if err != nil {
		return part{}, fmt.Errorf("%s/start: %w", sysfs, err)
	}
	size, err := strconv.ParseInt(values[2], 10, 64)
	if err != nil {
		return part{}, fmt.Errorf("%s/size: %w", sysfs, err)
	}
	extent := disk.Extent{Offset: disk.Bytes(start) * 512, Size: disk.Bytes(size) * 512}
	return part{sysfs: sysfs, number: values[0], extent: extent}, nil
}

// sysfs returns the directory of a block device in sysfs, links resolved.
func (f *File) sysfs() (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(f.Fd(), &stat); err != nil {
		return "", &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return filepath.EvalSymlinks("/sys/dev/block/" + deviceNumber(uint64(stat.Rdev)))
}

// loops lists the loop devices whose backing file this is.
func (f *File) loops() ([]Holder, error) {
	own, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var holders []Holder
	for _, path := range paths {
		backing, err := readLine(path)
		if err != nil {
			continue // detached since the listing
		}
		if info, err := os.Stat(backing); err != nil || !os.SameFile(own, info) {
			continue // the file may have been deleted or lie in another mount namespace
		}
		loop := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(path)))
		holders = append(holders, Holder{Kind: Looped, Where: loop, Device: f.Name(), Extent: disk.Extent{Size: f.size}})
	}
	return holders, nil
}

// entries lists the names in a directory.
func entries(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names, nil
}

// readLine reads a file of one line.
func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSuffix(string(text), "\n"), err
}
