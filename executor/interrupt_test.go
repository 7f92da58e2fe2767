package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/probe"
)

// stopTarget cancels a context at the n-th write.
type stopTarget struct {
	simTarget
	left   int
	cancel context.CancelCauseFunc
}

var errSignal = errors.New("interrupt signal received")

func (s *stopTarget) WriteAt(p []byte, off int64) (int, error) {
	if s.left--; s.left == 0 {
		s.cancel(errSignal)
	}
	return s.simTarget.WriteAt(p, off)
}

// TestInterrupted asks a run that does everything to stop, at writes spread over all
// of it. It says that it was interrupted, in whatever it was; a volume in conversion
// is left between hot zones, where every tool opens it; the next run finishes.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWhole(t, true)
	uncut := simdev.New(w.image)
	w.mustApply(t, uncut)
	writes := 0
	for _, op := range uncut.Log() {
		if !op.Sync {
			writes++
		}
	}
	stopped := 0
	for _, n := range faultPoints(writes, rand.New(rand.NewPCG(20261122, 1))) {
		dev := simdev.New(w.image)
		err := w.interruptAt(t, dev, n+1)
		if err != nil {
			stopped++
		}
		if err != nil && !errors.Is(err, ErrInterrupted) {
			t.Errorf("apply returned %v", err)
		}
		w.checkClean(t, dev)
		w.mustApply(t, dev)
		w.check(t, dev)
		if t.Failed() {
			t.Fatalf("interrupted at write %d of %d", n, writes)
		}
	}
	if stopped == 0 {
		t.Error("no run stopped")
	}
}

// interruptAt applies, and asks to stop at the n-th write.
func (w *whole) interruptAt(t *testing.T, dev *simdev.Device, n int) error {
	t.Helper()
	plan, err := w.plan(dev)
	if err != nil {
		t.Fatal(err)
	}
	env := w.env
	env.Random = rand.NewChaCha8([32]byte{1})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	_, err = Apply(ctx, &stopTarget{simTarget{dev, w.zeroes}, n, cancel}, plan, env)
	return err
}

// checkClean demands that no volume is left inside a hot zone.
func (w *whole) checkClean(t *testing.T, dev *simdev.Device) {
	t.Helper()
	snapshot, err := probe.Disk(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range snapshot.Partitions {
		if l := p.Content.LUKS; l != nil && l.Reencryption != nil && l.Reencryption.State != disk.ReencryptClean {
			t.Errorf("partition %d is left as %+v", p.Number, l.Reencryption)
		}
	}
}
