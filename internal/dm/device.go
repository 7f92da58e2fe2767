package dm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// directory is where the nodes of devices are.
const directory = "/dev/mapper"

// nodePath returns the path of the node of the device name.
func nodePath(name string) string { return filepath.Join(directory, name) }

// Options say how a device is made.
type Options struct {
	ReadOnly bool
}

// Create makes the device name with a table. It returns the path of its node. Where
// the name or the UUID is taken it fails with an error that says so. Where ctx ends before
// udev has made the node, the device goes again, and the error is ctx's cause.
func Create(ctx context.Context, name, uuid string, targets []Target, o Options) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	c, err := openControl()
	if err != nil {
		return "", err
	}
	defer c.close()
	m := making{control: c, name: name, flags: o.flags()}
	if err := m.make(ctx, uuid, targets); err != nil {
		return "", err
	}
	return nodePath(name), nil
}

// flags translates the options.
func (o Options) flags() uint32 {
	if o.ReadOnly {
		return unix.DM_READONLY_FLAG
	}
	return 0
}

// making is a device on its way.
type making struct {
	*control
	name   string
	flags  uint32
	loaded func(number uint64) error // called when the device has a table and does not run yet; may be nil
}

// make takes the three steps, and takes them back where one fails.
func (m making) make(ctx context.Context, uuid string, targets []Target) error {
	made, _, err := m.call(request{command: unix.DM_DEV_CREATE, name: m.name, uuid: uuid, flags: m.flags})
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("a device %s, or one of its UUID, is there already", m.name)
	}
	if err != nil {
		return fmt.Errorf("make the device %s: %w", m.name, err)
	}
	err = m.start(ctx, targets, made.Dev)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_, _, removeErr := m.call(request{command: unix.DM_DEV_REMOVE, name: m.name, flags: unix.DM_DEFERRED_REMOVE})
		err = errors.Join(err, removeErr, removeStale(m.name))
	}
	return err
}

// start loads the table and sets the device going.
func (m making) start(ctx context.Context, targets []Target, number uint64) error {
	load := request{command: unix.DM_TABLE_LOAD, name: m.name, flags: m.flags | unix.DM_SECURE_DATA_FLAG, targets: targets}
	if _, _, err := m.call(load); err != nil {
		return &TableError{fmt.Errorf("load the table of %s (what does the kernel's log say? is dm-%s there?): %w", m.name, targets[0].Type, err)}
	}
	if m.loaded != nil {
		if err := m.loaded(number); err != nil {
			return err
		}
	}
	return settled(ctx, func(event uint32) error {
		// Without the flag that suspends it resumes.
		_, _, err := m.call(request{command: unix.DM_DEV_SUSPEND, name: m.name, event: event})
		if err != nil {
			return fmt.Errorf("start %s: %w", m.name, err)
		}
		return nil
	}, func() error { return makeNode(m.name, number) })
}

// TableError says that the kernel does not take a table: it lacks a target, or what the
// target needs, such as a cipher.
type TableError struct{ error }

// Unwrap returns what the kernel said.
func (e *TableError) Unwrap() error { return e.error }

// Info is what the kernel knows of a device.
type Info struct {
	Name, UUID string
	OpenCount  int
	Targets    []Target // its live table; keys are references
}

// ErrNotFound says that there is no device of a name.
var ErrNotFound = errors.New("no such device")

// Lookup returns what the kernel knows of the device name.
func Lookup(name string) (Info, error) {
	c, err := openControl()
	if err != nil {
		return Info{}, err
	}
	defer c.close()
	answer, payload, err := c.call(request{command: unix.DM_TABLE_STATUS, name: name, flags: unix.DM_STATUS_TABLE_FLAG})
	if errors.Is(err, unix.ENXIO) {
		return Info{}, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return Info{}, fmt.Errorf("look at the device %s: %w", name, err)
	}
	targets, err := decodeTargets(payload, answer.Target_count)
	return Info{
		Name: cString(answer.Name[:]), UUID: cString(answer.Uuid[:]), OpenCount: int(answer.Open_count), Targets: targets,
	}, err
}

// busyPatience is how long Remove waits for udev, which looks at a device that was
// just closed.
const busyPatience = 3 * time.Second

// Remove removes the device name. It fails where something uses it, and with ErrNotFound
// where it is not there, as one that went at its close: of that no node is left either. The
// end of ctx ends only its waiting.
func Remove(ctx context.Context, name string) error {
	c, err := openControl()
	if err != nil {
		return err
	}
	defer c.close()
	for end := time.Now().Add(busyPatience); ; time.Sleep(100 * time.Millisecond) {
		err := settled(ctx, func(event uint32) error {
			_, _, err := c.call(request{command: unix.DM_DEV_REMOVE, name: name, event: event})
			return err
		}, func() error { return removeNode(name) })
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENXIO):
			return errors.Join(fmt.Errorf("%s: %w", name, ErrNotFound), removeStale(name))
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("remove the device %s: %w", name, err)
		case time.Now().After(end), ctx.Err() != nil:
			return fmt.Errorf("the device %s is in use: unmount it, or close what lies above it (see \"lsblk\")", name)
		}
	}
}

// checkName refuses names that other tools would write differently or not find.
func checkName(name string) error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("#+-.:=@_", r))
	}
	if name == "" || name == "." || name == ".." || name == "control" || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%.40q is no name for a device: letters, digits and any of #+-.:=@_", name)
	}
	return nil
}
