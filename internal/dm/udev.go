package dm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How device-mapper and udev agree that a node is there: an event carries a cookie,
// which is the low half of the key of a System V semaphore; the rules count that down
// ("dmsetup udevcomplete"). The high half of the event's number has flags for the rules.

const (
	cookieMagic   = 0x0D4D << 16 // of the semaphore's key
	primarySource = 0x0040 << 16 // the event is of somebody who changes the device on purpose
	// udevPatience is how long the rules may take. They run programs on slow devices.
	udevPatience = 30 * time.Second
	udevControl  = "/run/udev/control"
)

// settled calls do with what its event is to carry, and returns when udev has done
// what follows from it, or ctx ends. Where no udev runs, instead does what it would have
// done.
func settled(ctx context.Context, do func(event uint32) error, instead func() error) error {
	if !udevRuns() {
		return orDone(do(0), instead)
	}
	id, cookie, err := newCookie()
	if err != nil {
		return err
	}
	defer removeSemaphore(id)
	if err := do(primarySource | uint32(cookie)); err != nil {
		return err
	}
	// Should udev never answer, as where its rules lack dmsetup, the node may be there
	// all the same.
	waitForZero(ctx, id, udevPatience)
	return nil
}

// udevRuns reports whether udev makes and removes the nodes of devices.
func udevRuns() bool {
	_, err := os.Stat(udevControl)
	return err == nil
}

// orDone does what comes after where err is nil.
func orDone(err error, after func() error) error {
	if err != nil {
		return err
	}
	return after()
}

// newCookie makes a semaphore that udev's rules count down once.
func newCookie() (id int, cookie uint16, err error) {
	for range 100 {
		var random [2]byte
		if _, err := rand.Read(random[:]); err != nil {
			return 0, 0, err
		}
		cookie = binary.NativeEndian.Uint16(random[:])
		key := cookieMagic | int(cookie)
		n, _, errno := unix.Syscall(unix.SYS_SEMGET, uintptr(key), 1, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
		switch {
		case cookie == 0, errno == unix.EEXIST:
			if cookie == 0 && errno == 0 {
				removeSemaphore(int(n))
			}
			continue
		case errno != 0:
			return 0, 0, os.NewSyscallError("semget", errno)
		}
		const setValue = 16 // SETVAL (sys/sem.h)
		if _, _, errno := unix.Syscall6(unix.SYS_SEMCTL, n, 0, setValue, 1, 0, 0); errno != 0 {
			removeSemaphore(int(n))
			return 0, 0, os.NewSyscallError("semctl", errno)
		}
		return int(n), cookie, nil
	}
	return 0, 0, errors.New("no semaphore is left for udev to answer by")
}

func removeSemaphore(id int) {
	const remove = 0 // IPC_RMID
	_, _, _ = unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, remove, 0, 0, 0)
}

// waitForZero waits until the semaphore was counted down, for patience at most.
func waitForZero(ctx context.Context, id int, patience time.Duration) {
	const getValue = 12 // GETVAL
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		value, _, errno := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, getValue, 0, 0, 0)
		if errno != 0 || value == 0 {
			return
		}
	}
}

// makeNode makes the node of a device. One of that name that is left from another goes.
func makeNode(name string, number uint64) error {
	path := nodePath(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(number)); err != nil {
		return &os.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}

// removeNode removes the node of a device.
func removeNode(name string) error {
	if err := os.Remove(nodePath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// removeStale removes the node of a device that the kernel has removed by itself, where no
// udev does.
func removeStale(name string) error {
	if udevRuns() || checkName(name) != nil {
		return nil
	}
	return removeNode(name)
}
