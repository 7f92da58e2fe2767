package blockdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockPatience is how long Open waits for a lock: udev holds one while it probes a
// device that has just changed.
const lockPatience = 3 * time.Second

// lockPause is the time between two attempts.
const lockPause = 50 * time.Millisecond

// lock takes the flock of the device and, for a partition, of the disk it is on:
// that is the one udev and partitioning tools look at.
func (f *File) lock() error {
	how := unix.LOCK_SH
	if f.write {
		how = unix.LOCK_EX
	}
	whole, err := f.openWholeDisk()
	if err != nil {
		return err
	}
	if f.disk = whole; whole != nil {
		if err := flock(whole, how); err != nil {
			return err
		}
	}
	return flock(f.file, how)
}

// openWholeDisk opens the disk that a partition lies on; nil for anything else.
func (f *File) openWholeDisk() (*os.File, error) {
	if !f.block {
		return nil, nil
	}
	sysfs, err := f.sysfs()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(sysfs, "partition")); err != nil {
		return nil, nil // a whole disk has no partition number
	}
	return os.Open(nodePath(filepath.Dir(sysfs)))
}

// flock takes the lock, and waits a little for one that is held.
func flock(file *os.File, how int) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		case time.Now().After(end):
			return fmt.Errorf("%s is locked by %s; try again when that has finished", file.Name(), LockHolder(file))
		}
	}
}

// LockHolder names the processes that hold a flock on file, by /proc/locks.
// A lock taken in another PID namespace shows no process there.
func LockHolder(file *os.File) string {
	const unknown = "another program (udev, a partitioning tool, or another sealpart)"
	var stat unix.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Fstat(int(file.Fd()), &stat) != nil {
		return unknown
	}
	place := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	var holders []string
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 708 00:13:1234 0 EOF
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != place {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			holders = append(holders, processName(pid))
		}
	}
	if len(holders) == 0 {
		return unknown
	}
	return strings.Join(holders, " and ")
}

// processName writes a process for people: "systemd-udevd (process 321)".
func processName(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
}
