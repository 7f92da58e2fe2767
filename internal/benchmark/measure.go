package benchmark

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Duration is how long one measurement takes when nothing else is said.
const Duration = 200 * time.Millisecond

// measure repeats work for about d of processor time and returns how often work
// was done in a second of it.
func measure(d time.Duration, work func() error) (perSecond float64, err error) {
	// Once outside the measurement: caches, and what is made at the first use.
	if err := work(); err != nil {
		return 0, err
	}
	start, err := processorTime()
	if err != nil {
		return 0, err
	}
	for done, batch := 0, 1; ; batch *= 2 {
		for range batch {
			if err := work(); err != nil {
				return 0, err
			}
		}
		done += batch
		now, err := processorTime()
		if err != nil {
			return 0, err
		}
		spent := now - start
		if spent >= d {
			return float64(done) / spent.Seconds(), nil
		}
		// The last batch ends near d, not far behind it.
		left := float64(done) * float64(d-spent) / float64(max(spent, 1))
		batch = min(batch, max(1, int(left/2)))
	}
}

// processorTime returns what all threads of this process have used so far.
func processorTime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("processor time of this process: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
