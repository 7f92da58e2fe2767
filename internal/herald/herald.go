package herald

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Status is what is going on.
type Status struct {
	Text    string // for people, one line
	Phase   string // for programs, such as "reencrypt"
	Percent int    // how far Phase is
}

// Herald tells how the work goes until it is closed.
type Herald struct {
	watchdog *watchdog // nil: none
	splash   splash
	stop     chan struct{}
	stopped  chan struct{}
}

// The service manager is asked again and again for more time: so long, so often. A
// program that hangs asks too; it is a disk that hangs then, and to be killed does not
// help it.
const (
	moreTime = 2 * time.Minute
	askEvery = 10 * time.Second
)

// Start begins to feed the watchdogs. device is the hardware watchdog's, "" for none.
func Start(device string) (*Herald, error) {
	h := &Herald{stop: make(chan struct{}), stopped: make(chan struct{})}
	every := askEvery
	if device != "" {
		w, err := openWatchdog(device)
		if err != nil {
			return nil, err
		}
		h.watchdog, every = w, min(every, w.interval())
	}
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		every = min(every, limit/2)
	}
	notify("EXTEND_TIMEOUT_USEC=", moreTime.Microseconds())
	go h.keepAlive(every)
	return h, nil
}

// keepAlive says that we are alive.
func (h *Herald) keepAlive(every time.Duration) {
	defer close(h.stopped)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-tick.C:
			notify("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=", moreTime.Microseconds())
			if h.watchdog != nil {
				h.watchdog.feed()
			}
		}
	}
}

// Say tells everybody the status.
func (h *Herald) Say(s Status) {
	text := strings.ReplaceAll(s.Text, "\n", " ")
	notify("STATUS=", text, "\nX_SYSTEMD_PHASE=", s.Phase, "\nX_SYSTEMD_PHASE_PROGRESS=", s.Percent)
	h.splash.show(text)
}

// Close ends it all; a watchdog goes on where it ran before.
func (h *Herald) Close() error {
	close(h.stop)
	<-h.stopped
	h.splash.clear()
	if h.watchdog != nil {
		return h.watchdog.close()
	}
	return nil
}

// notify sends a message to the service manager, where there is one.
func notify(parts ...any) {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprint(&b, part)
	}
	_, _ = daemon.SdNotify(false, b.String()) // who does not listen misses it
}

// errNotWatchdog says that a device does not take the calls of watchdogs.
var errNotWatchdog = errors.New("this is no watchdog")
