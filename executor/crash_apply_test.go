package executor

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

var crashStates = flag.Int("crash-states", 20, "crash states of a whole apply to try, spread over all its operations; 0 means all")

// TestCrashDuringApply cuts the power in the middle of a run that does everything,
// with unsynced sectors kept or lost by a seed, and runs again: probe, plan, apply.
// One run must bring the disk to rest, with every byte as it must be. Every third
// second run is cut again.
func TestCrashDuringApply(t *testing.T) {
	t.Parallel()
	seed := *crashSeed
	if seed == 0 {
		seed = 20261122
	}
	t.Logf("crash seed %d", seed)
	for i, zeroes := range []bool{true, false} {
		w := newWhole(t, zeroes)
		uncut := simdev.New(w.image)
		w.mustApply(t, uncut)
		for n, k := range cutPoints(uncut.Log(), rand.New(rand.NewPCG(seed, uint64(i)))) {
			rng := rand.New(rand.NewPCG(seed, uint64(k)<<8|uint64(i)))
			w.recover(t, uncut.CrashAfter(k, rng), rng, n)
			if t.Failed() {
				t.Fatalf("discard zeroes: %v; cut after operation %d of %d", zeroes, k, len(uncut.Log()))
			}
		}
	}
}

// cutPoints chooses half of -crash-states of the places of a log. Half of these are
// right before flushes, where most is at stake.
func cutPoints(log []simdev.Op, rng *rand.Rand) []int {
	var all, flushes []int
	for i, op := range log {
		all = append(all, i)
		if op.Sync {
			flushes = append(flushes, i)
		}
	}
	all = append(all, len(log))
	n := *crashStates / 4
	if n == 0 || n >= len(flushes) {
		return all
	}
	return append(spread(flushes, n, rng), spread(all, n, rng)...)
}

// spread chooses one at random from each of n equal stretches.
func spread(places []int, n int, rng *rand.Rand) []int {
	var chosen []int
	for i := range n {
		from, to := i*len(places)/n, (i+1)*len(places)/n
		chosen = append(chosen, places[from+rng.IntN(to-from)])
	}
	return chosen
}

// recover runs again after a power cut and checks; every third state is cut twice,
// and every tenth is shown to foreign tools.
func (w *whole) recover(t *testing.T, cut *simdev.Device, rng *rand.Rand, n int) {
	t.Helper()
	w.mustApply(t, cut)
	w.check(t, cut)
	crashCount.Add(1)
	if n%3 == 0 {
		cut = cut.CrashAfter(rng.IntN(len(cut.Log())+1), rng)
		w.mustApply(t, cut)
		w.check(t, cut)
	}
	if n%10 == 0 {
		w.judge(t, cut)
	}
}
