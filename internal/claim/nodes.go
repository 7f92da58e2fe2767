package claim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"golang.org/x/sys/unix"
)

// Nodes is the exclusive use of parts of a block device: while it lasts the kernel mounts
// none of them, makes no device above them and lets nobody else have them exclusively,
// and the partition table cannot be read again. Of an image file it is nothing: there the
// lock that blockdev.Open takes is what others look at. Its methods may be called from
// several goroutines at once.
type Nodes struct {
	dev  *blockdev.File
	mu   sync.Mutex
	held map[string]*os.File // by device number
}

// Take opens what lies in the extents of dev exclusively: the partitions that the kernel
// knows there, or the whole device where all of it is meant or it has none. It fails with
// a BusyError, holding nothing, where somebody else has one of them.
//
// What was read of the device before is forgotten: whoever had it until now wrote past
// what is cached of the whole disk.
func Take(dev *blockdev.File, extents []disk.Extent) (*Nodes, error) {
	n := &Nodes{dev: dev, held: map[string]*os.File{}}
	if err := errors.Join(n.Add(extents), dev.Forget()); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Add takes what is not held yet of the extents.
func (n *Nodes) Add(extents []disk.Extent) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	parts, err := n.dev.Parts()
	if err != nil || len(parts) == 0 {
		return err
	}
	for _, p := range wanted(parts, extents) {
		if err := n.take(p); err != nil {
			return err
		}
	}
	return nil
}

// wanted returns which of a disk's parts, the first of which is the disk itself, are
// rewritten where the extents are. The whole disk goes for all of its partitions.
func wanted(parts []blockdev.Part, extents []disk.Extent) (some []blockdev.Part) {
	whole := parts[0]
	for _, e := range extents {
		if e.Size >= whole.Extent.Size || len(parts) == 1 {
			return parts[:1]
		}
	}
	for _, p := range parts[1:] {
		for _, e := range extents {
			if p.Extent.Overlaps(e) {
				some = append(some, p)
				break
			}
		}
	}
	return some
}

// take opens one node.
func (n *Nodes) take(p blockdev.Part) error {
	if n.held[p.Number] != nil {
		return nil
	}
	file, err := open(p)
	if errors.Is(err, unix.EBUSY) {
		return &BusyError{p.Path, "another program, or the kernel"}
	}
	if err != nil {
		return fmt.Errorf("take %s for us alone: %w", p.Path, err)
	}
	n.held[p.Number] = file
	return nil
}

// open opens the node of a part exclusively. Where udev does not run, there may be none,
// or one of an older device: then one is made for the moment. Nothing is ever written
// through it, so that its closing is nothing to udev.
func open(p blockdev.Part) (*os.File, error) {
	path := p.Path
	if blockdev.NumberAt(path) != p.Number {
		dir, err := os.MkdirTemp("/dev", ".sealpart-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "node")
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(p.Device())); err != nil {
			return nil, &os.PathError{Op: "mknod", Path: path, Err: err}
		}
	}
	return os.OpenFile(path, os.O_RDONLY|unix.O_EXCL, 0)
}

// Follow calls do, which changes the kernel's partitions, and then holds those in the
// extents. Those that do cannot touch while they are open are given back before: the
// ones that do not stay where they begin. Whoever takes one of them in between is found,
// and the error is a BusyError.
func (n *Nodes) Follow(stay func(disk.Extent) bool, extents []disk.Extent, do func() error) error {
	if err := n.drop(stay); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return n.Add(extents)
}

// drop gives back what does not stay.
func (n *Nodes) drop(stay func(disk.Extent) bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	parts, err := n.dev.Parts()
	for i, p := range parts {
		if i == 0 || !stay(p.Extent) {
			err = errors.Join(err, n.release(p.Number))
		}
	}
	return err
}

// Lend gives back one device, for something that takes it exclusively itself, such as a
// mount. What it returns takes it again: with a BusyError where somebody else has it by
// then. Of what is not held nothing changes.
func (n *Nodes) Lend(number string) (back func() error, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held[number] == nil {
		return func() error { return nil }, nil
	}
	return func() error { return n.retake(number) }, n.release(number)
}

// retake takes a device that was lent.
func (n *Nodes) retake(number string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	parts, err := n.dev.Parts()
	for _, p := range parts {
		if p.Number == number {
			return n.take(p)
		}
	}
	return errors.Join(err, fmt.Errorf("device %s of %s is gone", number, n.dev.Name()))
}

// release closes one node. What the kernel has cached of it is older than what was
// written through the whole disk, and goes.
func (n *Nodes) release(number string) error {
	file := n.held[number]
	if file == nil {
		return nil
	}
	delete(n.held, number)
	err := unix.IoctlSetInt(int(file.Fd()), unix.BLKFLSBUF, 0)
	return errors.Join(err, file.Close())
}

// Close gives back all.
func (n *Nodes) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	for number := range n.held {
		err = errors.Join(err, n.release(number))
	}
	return err
}
