package dm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Transient is a device that does not outlive whoever made it, killed or not.
type Transient struct {
	Path string // of its node
	name string
	hold *os.File
}

// CreateTransient makes a device as Create does, and has the kernel remove it as soon as
// nobody has it open any more. That is settled before the device runs and anybody else can see
// its node: what kills us between the two leaves nothing that holds the disk.
func CreateTransient(ctx context.Context, name, uuid string, targets []Target, o Options) (*Transient, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c, err := openControl()
	if err != nil {
		return nil, err
	}
	defer c.close()
	t := &Transient{Path: nodePath(name), name: name}
	m := making{control: c, name: name, flags: o.flags(), loaded: func(number uint64) error { return t.tie(c, number) }}
	if err := m.make(ctx, uuid, targets); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// tie opens the device and has the kernel remove it at the last close. Its own node is not
// there yet, so one that nobody looks for serves.
func (t *Transient) tie(c *control, number uint64) error {
	hidden := "." + t.name
	if err := makeNode(hidden, number); err != nil {
		return err
	}
	hold, err := os.Open(nodePath(hidden))
	if err = errors.Join(err, removeNode(hidden)); err != nil {
		return err
	}
	t.hold = hold
	// Without a cookie for udev: nobody can wait for an event that may come much later.
	if _, _, err := c.call(request{command: unix.DM_DEV_REMOVE, name: t.name, flags: unix.DM_DEFERRED_REMOVE}); err != nil {
		return fmt.Errorf("have the device %s removed at its end: %w", t.name, err)
	}
	return nil
}

// close lets go of the device.
func (t *Transient) close() error {
	if t.hold == nil {
		return nil
	}
	return t.hold.Close()
}

// Remove closes the device and waits until it is gone. It fails where somebody else uses it.
func (t *Transient) Remove(ctx context.Context) error {
	err := t.close()
	if gone := Remove(ctx, t.name); !errors.Is(gone, ErrNotFound) {
		err = errors.Join(err, gone)
	}
	return err
}
