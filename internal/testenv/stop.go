package testenv

import (
	"context"
	"errors"
	"testing"
	"time"
)

// EndsWithContext demands that work, which would wait for ever, ends with its context, and by
// the cause of that.
func EndsWithContext(t *testing.T, name string, work func(context.Context) error) {
	t.Helper()
	why := errors.New("asked to stop")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	select {
	case err := <-ended:
		if !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("%s: still waits", name)
	}
}
