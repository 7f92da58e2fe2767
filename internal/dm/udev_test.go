package dm

import (
	"context"
	"testing"
	"time"
)

// TestWaitEnds: udev that does not answer is waited for no longer than the context lasts.
func TestWaitEnds(t *testing.T) {
	id, _, err := newCookie()
	if err != nil {
		t.Fatal(err)
	}
	defer removeSemaphore(id)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	waitForZero(ctx, id, udevPatience)
	if took := time.Since(began); took < 50*time.Millisecond || took > 5*time.Second {
		t.Errorf("it waited %s", took)
	}
}
