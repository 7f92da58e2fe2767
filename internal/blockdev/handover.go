package blockdev

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How long Close waits for udev to have looked at a disk: until it has had nothing to do
// for udevQuiet. Events that waited for the lock come first.
const (
	udevQuiet    = 150 * time.Millisecond
	udevPatience = 10 * time.Second
)

// Udev's files: its socket, and one that is there while events are queued.
var (
	udevControl = "/run/udev/control"
	udevQueue   = "/run/udev/queue"
)

// keep opens a disk once more, for reading, and shares the lock with it. When a disk that
// was open for writing is closed, udev has the kernel read the partition table again:
// all partitions go and come back, under whoever has just begun to use them. Udev leaves
// that alone where it cannot have the lock for itself, and the kernel knows the table
// already. keep returns nil where there is nothing to keep: for anything but a whole disk,
// and where udev does not run.
func (f *File) keep() *os.File {
	if !f.block || !f.write || f.disk != nil || !present(udevControl) {
		return nil
	}
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil
	}
	// Between giving up the one lock and having the other, somebody may take the disk:
	// then it is theirs, and they close it.
	if unix.Flock(f.Fd(), unix.LOCK_SH|unix.LOCK_NB) != nil || unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		_ = file.Close()
		return nil
	}
	return file
}

// awaitUdev waits until udev has looked at what was closed, until ctx is done at most.
func awaitUdev(ctx context.Context) {
	const pause = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, udevPatience)
	defer cancel()
	for quiet := time.Duration(0); quiet < udevQuiet && ctx.Err() == nil; time.Sleep(pause) {
		if quiet += pause; present(udevQueue) {
			quiet = 0
		}
	}
}

func present(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
