package blockdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// Node is where the kernel finds a part of a disk.
type Node struct {
	Device   string     // number of a block device, "8:2"
	Path     string     // of its node
	Offset   disk.Bytes // of the part on it
	ReadOnly bool
	// Release gives back what was only needed to find it. A loop device that was made
	// for it goes when nothing uses it any more.
	Release func() error
}

// NodeOf returns the block device that e of the disk is: the partition, if the kernel
// knows it, since a whole disk cannot be used beside a partition that is; of an image
// file a loop device, which is made.
func (f *File) NodeOf(e disk.Extent) (Node, error) {
	if !f.block {
		return f.Attach(e)
	}
	parts, err := f.parts()
	if err != nil {
		return Node{}, err
	}
	found, offset := parts[0], e.Offset
	for _, p := range parts[1:] {
		if p.extent == e {
			found, offset = p, 0
		}
	}
	readOnly, err := readLine(filepath.Join(found.sysfs, "ro"))
	return Node{
		Device: found.number, Path: nodePath(found.sysfs), Offset: offset, ReadOnly: readOnly == "1",
		Release: func() error { return nil },
	}, err
}

// NumberOf returns the number of the block device that NodeOf finds for e, "" in an image
// file.
func (f *File) NumberOf(e disk.Extent) (string, error) {
	if !f.block {
		return "", nil
	}
	node, err := f.NodeOf(e)
	return node.Device, err
}

// Part is a disk, or a partition on it, as the kernel knows it.
type Part struct {
	Number string // of the device, "8:2"
	Path   string // where its node should be
	Extent disk.Extent
}

// Device returns the number as mknod(2) takes it.
func (p Part) Device() uint64 {
	var major, minor uint32
	_, _ = fmt.Sscanf(p.Number, "%d:%d", &major, &minor) // the kernel wrote it
	return unix.Mkdev(major, minor)
}

// Parts lists the block device itself and the partitions that the kernel knows on it;
// nothing for an image file.
func (f *File) Parts() ([]Part, error) {
	if !f.block {
		return nil, nil
	}
	found, err := f.parts()
	var parts []Part
	for _, p := range found {
		parts = append(parts, Part{p.number, nodePath(p.sysfs), p.extent})
	}
	return parts, err
}

// nodePath returns the node of what sysfs shows. The kernel writes a "/" of a device's
// name as "!" there (cciss!c0d0).
func nodePath(sysfs string) string {
	return filepath.Join("/dev", strings.ReplaceAll(filepath.Base(sysfs), "!", "/"))
}

// Forget drops what is cached of a block device, after somebody wrote to a partition
// of it: the kernel caches the two apart.
func (f *File) Forget() error {
	if !f.block {
		return nil
	}
	if err := unix.IoctlSetInt(f.Fd(), unix.BLKFLSBUF, 0); err != nil {
		return &os.PathError{Op: "BLKFLSBUF", Path: f.Name(), Err: err}
	}
	return nil
}

// loopControl makes loop devices (drivers/block/loop.c).
const loopControl = "/dev/loop-control"

// Attach makes a loop device of e, of an image file or of a block device.
func (f *File) Attach(e disk.Extent) (Node, error) {
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return Node{}, fmt.Errorf("this takes a loop device, which cannot be made here: %w", err)
	}
	defer control.Close()
	for range 64 { // another program may take the one that is free
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return Node{}, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		node, err := f.attachTo(fmt.Sprintf("/dev/loop%d", n), e)
		if !errors.Is(err, unix.EBUSY) {
			return node, err
		}
	}
	return Node{}, errors.New("no loop device is free")
}

// attachTo takes one loop device.
func (f *File) attachTo(path string, e disk.Extent) (Node, error) {
	loop, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return Node{}, err
	}
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{
		Offset: uint64(e.Offset), Sizelimit: uint64(e.Size), Flags: unix.LO_FLAGS_AUTOCLEAR,
	}}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], f.Name())
	if !f.write {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	var stat unix.Stat_t
	err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
	if err == nil {
		err = unix.Fstat(int(loop.Fd()), &stat)
	}
	if err != nil {
		return Node{}, errors.Join(&os.PathError{Op: "attach", Path: path, Err: err}, loop.Close())
	}
	return Node{Device: deviceNumber(uint64(stat.Rdev)), Path: path, ReadOnly: !f.write, Release: loop.Close}, nil
}
