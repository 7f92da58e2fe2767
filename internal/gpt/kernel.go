package gpt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// TellKernel makes the kernel's partitions on the block device fd follow a change of
// the table from before to after, one by one with BLKPG (linux/blkpg.h): unlike a
// re-read of the whole table this leaves partitions in use alone, and lets one that
// is mounted grow. What else the kernel has there, of an older table or of another image
// that was attached to the same loop device, goes first where nobody uses it.
//
// For an image file nothing is to be done. A loop device without partition scanning is told
// of no partition: the kernel would keep it when the image is detached, and show it to
// the next one.
//
// It goes on after a partition that the kernel refuses (most often: in use), and
// returns all refusals; the table on the disk is not affected by them.
func TellKernel(fd int, before, after []disk.Entry, sectorSize disk.Bytes) error {
	sysfs, err := partitioned(fd)
	if err != nil || sysfs == "" {
		return err
	}
	stale, err := stalePartitions(sysfs, before, after)
	if err != nil {
		return err
	}
	gone := removeUnused(fd, stale)
	if !scanned(sysfs) {
		return nil
	}
	n, err := unix.IoctlGetUint32(fd, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("sector size: %w", err)
	}
	if disk.Bytes(n) != sectorSize {
		return fmt.Errorf("the table is for sectors of %d bytes, and the kernel uses %d on this disk", sectorSize, n)
	}
	// What is gone and unchanged in the table is new to the kernel.
	before = slices.DeleteFunc(slices.Clone(before), func(e disk.Entry) bool { return gone[e.Number] })
	var failures []error
	for _, c := range changes(before, after) {
		if err := c.tell(fd); err != nil {
			failures = append(failures, fmt.Errorf("%s partition %d: %w", c.verb(), c.entry.Number, err))
		}
	}
	return errors.Join(failures...)
}

// partitioned returns the sysfs directory of the block device fd, "" for what can have no
// partitions: a file, a partition, a device of which the kernel keeps none.
func partitioned(fd int) (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return "", fmt.Errorf("fstat: %w", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", nil
	}
	sysfs := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev)))
	_, err := os.Stat(filepath.Join(sysfs, "ext_range")) // a partition has none
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return sysfs, err
}

// scanned reports whether the kernel reads partition tables of the device at sysfs. Where it
// does not, it may take partitions by BLKPG all the same.
func scanned(sysfs string) bool {
	// ext_range is how many minors the disk may use, itself included.
	limit, err := os.ReadFile(filepath.Join(sysfs, "ext_range"))
	if err != nil || strings.TrimSpace(string(limit)) == "1" {
		return false
	}
	scan, err := os.ReadFile(filepath.Join(sysfs, "loop", "partscan"))
	return err != nil || strings.TrimSpace(string(scan)) != "0"
}

// stalePartitions returns what the kernel has on a device that is neither in the old table
// nor in the new one as it is; of a device that is not scanned, all that it has.
func stalePartitions(sysfs string, before, after []disk.Entry) ([]disk.Entry, error) {
	dirs, err := filepath.Glob(filepath.Join(sysfs, "*", "partition"))
	if err != nil {
		return nil, err
	}
	var stale []disk.Entry
	for _, dir := range dirs {
		e, err := kernelPartition(filepath.Dir(dir))
		if errors.Is(err, os.ErrNotExist) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		same := func(t disk.Entry) bool { return t.Number == e.Number && t.Extent == e.Extent }
		if !scanned(sysfs) || !slices.ContainsFunc(before, same) && !slices.ContainsFunc(after, same) {
			stale = append(stale, e)
		}
	}
	return stale, nil
}

// kernelPartition reads one of the kernel's partitions; sysfs counts in 512 bytes whatever
// the sector size is.
func kernelPartition(sysfs string) (disk.Entry, error) {
	var values [3]int64
	for i, name := range []string{"partition", "start", "size"} {
		text, err := os.ReadFile(filepath.Join(sysfs, name))
		if err != nil {
			return disk.Entry{}, err
		}
		if values[i], err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil {
			return disk.Entry{}, fmt.Errorf("%s/%s: %w", sysfs, name, err)
		}
	}
	extent := disk.Extent{Offset: disk.Bytes(values[1]) * 512, Size: disk.Bytes(values[2]) * 512}
	return disk.Entry{Number: int(values[0]), Extent: extent}, nil
}

// removeUnused takes partitions from the kernel, and returns the numbers of those that went.
// One that is in use stays, and is in the way of nothing but what overlaps it.
func removeUnused(fd int, stale []disk.Entry) map[int]bool {
	gone := map[int]bool{}
	for _, e := range stale {
		if blkpg(fd, unix.BLKPG_DEL_PARTITION, e) == nil {
			gone[e.Number] = true
		}
	}
	return gone
}

// change is one step that brings the kernel to the new table.
type change struct {
	op    int32 // unix.BLKPG_…
	entry disk.Entry
}

// changes returns the steps from before to after: removals first, for a new
// partition may lie where an old one was. Only places matter to the kernel.
func changes(before, after []disk.Entry) []change {
	old := map[int]disk.Entry{}
	for _, e := range before {
		old[e.Number] = e
	}
	var removed, resized, added []change
	for _, e := range after {
		was, known := old[e.Number]
		delete(old, e.Number)
		switch {
		case !known:
			added = append(added, change{unix.BLKPG_ADD_PARTITION, e})
		case was.Offset != e.Offset:
			removed = append(removed, change{unix.BLKPG_DEL_PARTITION, was})
			added = append(added, change{unix.BLKPG_ADD_PARTITION, e})
		case was.Size != e.Size:
			resized = append(resized, change{unix.BLKPG_RESIZE_PARTITION, e})
		}
	}
	for _, e := range before {
		if _, gone := old[e.Number]; gone {
			removed = append(removed, change{unix.BLKPG_DEL_PARTITION, e})
		}
	}
	return append(removed, append(resized, added...)...)
}

// verb names the change for messages.
func (c change) verb() string {
	switch c.op {
	case unix.BLKPG_ADD_PARTITION:
		return "add"
	case unix.BLKPG_DEL_PARTITION:
		return "remove"
	default:
		return "resize"
	}
}

// tell makes one change. udev may have been faster, or the kernel may never have
// seen the old table; what counts is what it has in the end.
func (c change) tell(fd int) error {
	err := blkpg(fd, c.op, c.entry)
	switch {
	case c.op == unix.BLKPG_DEL_PARTITION && errors.Is(err, unix.ENXIO):
		return nil // the kernel does not have it
	case c.op == unix.BLKPG_RESIZE_PARTITION && errors.Is(err, unix.ENXIO):
		return blkpg(fd, unix.BLKPG_ADD_PARTITION, c.entry)
	case c.op == unix.BLKPG_RESIZE_PARTITION && errors.Is(err, unix.EINVAL):
		// The kernel's begins elsewhere: it is of an older table, or of another image that
		// was attached to the same loop device.
		if err := blkpg(fd, unix.BLKPG_DEL_PARTITION, c.entry); err != nil {
			return err
		}
		return blkpg(fd, unix.BLKPG_ADD_PARTITION, c.entry)
	case c.op == unix.BLKPG_ADD_PARTITION && errors.Is(err, unix.EBUSY):
		// The number is taken. A resize succeeds only where the start is the same.
		if blkpg(fd, unix.BLKPG_RESIZE_PARTITION, c.entry) == nil {
			return nil
		}
	}
	return err
}

// blkpg does one BLKPG ioctl. It counts in bytes, whatever the sector size.
func blkpg(fd int, op int32, e disk.Entry) error {
	partition := unix.BlkpgPartition{Start: int64(e.Offset), Length: int64(e.Size), Pno: int32(e.Number)}
	argument := unix.BlkpgIoctlArg{Op: op, Datalen: int32(unsafe.Sizeof(partition)), Data: (*byte)(unsafe.Pointer(&partition))}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKPG, uintptr(unsafe.Pointer(&argument)))
	if errno != 0 {
		return errno
	}
	return nil
}
