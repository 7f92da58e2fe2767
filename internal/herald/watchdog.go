package herald

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// watchdog is a hardware watchdog (watchdog-api.rst in the kernel's documentation). It
// starts when it is opened, and resets the machine when nobody feeds it in time.
type watchdog struct {
	file    *os.File
	timeout time.Duration
	ran     bool // before we opened it
}

// openWatchdog opens and so starts it. One that somebody else feeds is busy.
func openWatchdog(device string) (*watchdog, error) {
	ran := running(device)
	file, err := os.OpenFile(device, os.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	seconds, err := unix.IoctlGetInt(int(file.Fd()), unix.WDIOC_GETTIMEOUT)
	if err != nil || seconds < 1 {
		_ = file.Close()
		return nil, fmt.Errorf("watchdog %s: %w", device, errNotWatchdog)
	}
	return &watchdog{file: file, timeout: time.Duration(seconds) * time.Second, ran: ran}, nil
}

// running reports whether the kernel says that a watchdog runs. /dev/watchdog is the
// first one's other name.
func running(device string) bool {
	name := filepath.Base(device)
	if name == "watchdog" {
		name = "watchdog0"
	}
	state, err := os.ReadFile("/sys/class/watchdog/" + name + "/state")
	return err == nil && strings.TrimSpace(string(state)) == "active"
}

// interval is how often it is fed: twice more than it must.
func (w *watchdog) interval() time.Duration { return w.timeout / 3 }

// feed keeps it from resetting the machine. Where that fails, it will.
func (w *watchdog) feed() { _ = unix.IoctlWatchdogKeepalive(int(w.file.Fd())) }

// close stops it where it did not run before, by the letter that says so. Else it goes on
// running, and whoever comes next must feed it within its timeout.
func (w *watchdog) close() error {
	w.feed()
	if !w.ran {
		_, _ = w.file.WriteString("V") // a watchdog that cannot be stopped goes on, too
	}
	return w.file.Close()
}
