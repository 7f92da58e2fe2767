package executor

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"golang.org/x/sys/unix"
)

var faultStates = flag.Int("fault-states", 12, "failures of a whole apply to try, spread over all its operations; 0 means all")

// A failure is one way in which an operation fails.
type failure struct {
	name   string
	err    error
	inject func(d *simdev.Device, n int, err error) *simdev.Device
}

var writeFailures = []failure{
	{"the disk is gone", unix.EIO, func(d *simdev.Device, n int, err error) *simdev.Device { return d.FailAt(n, err, false) }},
	{"no space, half written", unix.ENOSPC, func(d *simdev.Device, n int, err error) *simdev.Device { return d.FailAt(n, err, true) }},
	{"one bad moment", unix.EIO, (*simdev.Device).FailOnceAt},
}

// TestFaultsDuringConversion fails every write, flush and read of a conversion. The
// failure comes back; the next run, on a disk that works, finishes.
func TestFaultsDuringConversion(t *testing.T) {
	t.Parallel()
	plain := extImage(t, crashData)
	image := make([]byte, crashDisk)
	copy(image, plain)
	whole := simdev.New(image)
	mustConvert(t, whole)
	try := func(dev *simdev.Device, n int, f failure, mayHeal bool) {
		f.inject(dev, n, f.err)
		if err := convertAgain(t, dev); !errors.Is(err, f.err) && !(mayHeal && err == nil) {
			t.Errorf("the conversion returned %v", err)
		}
		again := afterFailure(dev, n)
		mustConvert(t, again)
		checkConverted(t, again, plain, f.name)
		if t.Failed() {
			t.Fatalf("%s, operation %d", f.name, n)
		}
	}
	for n := range whole.Log() {
		try(simdev.New(image), n, writeFailures[n%len(writeFailures)], false)
	}
	for n := range whole.Reads() {
		try(simdev.New(image), n, failure{"a bad read", unix.EIO, (*simdev.Device).FailReadAt}, true)
	}
	t.Logf("%d operations and %d reads failed", len(whole.Log()), whole.Reads())
}

// afterFailure returns the disk, working again, as the failed run left it: for every
// second n all that was written is there, else the power was cut as well.
func afterFailure(dev *simdev.Device, n int) *simdev.Device {
	if n%2 == 0 {
		return dev.CrashAfter(len(dev.Log()), nil)
	}
	return dev.CrashAfter(len(dev.Log()), rand.New(rand.NewPCG(uint64(n), 0)))
}

// namesPlace is what every error of a failed operation must say.
var namesPlace = regexp.MustCompile(`partition (\d+|table)|new partitions|^simdev: `)

// TestFaultsDuringApply does the same to a run that does everything. The error also
// tells in which partition it was.
func TestFaultsDuringApply(t *testing.T) {
	t.Parallel()
	w := newWhole(t, false)
	uncut := simdev.New(w.image)
	w.mustApply(t, uncut)
	try := func(n int, f failure, mayHeal bool) {
		dev := f.inject(simdev.New(w.image), n, f.err)
		err := w.apply(context.Background(), dev)
		if err == nil && !mayHeal || err != nil && (!errors.Is(err, f.err) || !namesPlace.MatchString(err.Error())) {
			t.Errorf("apply returned %v", err)
		}
		again := afterFailure(dev, n)
		w.mustApply(t, again)
		w.check(t, again)
		if t.Failed() {
			t.Fatalf("%s, operation %d of %d", f.name, n, len(uncut.Log()))
		}
	}
	rng := rand.New(rand.NewPCG(20261122, 0))
	for i, n := range faultPoints(len(uncut.Log()), rng) {
		try(n, writeFailures[i%len(writeFailures)], false)
	}
	for _, n := range faultPoints(uncut.Reads(), rng) {
		try(n, failure{"a bad read", unix.EIO, (*simdev.Device).FailReadAt}, true)
	}
}

// faultPoints chooses half of -fault-states of n operations.
func faultPoints(n int, rng *rand.Rand) []int {
	var all []int
	for i := range n {
		all = append(all, i)
	}
	if *faultStates == 0 || *faultStates/2 >= n {
		return all
	}
	return spread(all, *faultStates/2, rng)
}
