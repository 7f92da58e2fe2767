package abandon

import (
	"context"
	"errors"
	"testing"
	"time"
)

var errStop = errors.New("asked to stop")

// TestCall: a call that ends is waited for, one that does not is left, and what it brings
// later goes to late.
func TestCall(t *testing.T) {
	none := func(int) { t.Error("a result that was returned came late, too") }
	if n, err := Call(t.Context(), func() (int, error) { return 5, nil }, none); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	tidy := func() (int, error) {
		stop(errStop)
		time.Sleep(Grace / 10)
		return 6, nil
	}
	if n, err := Call(ctx, tidy, none); n != 6 || err != nil {
		t.Errorf("one that ends soon after: %d, %v", n, err)
	}
	if _, err := Call(ctx, func() (int, error) { t.Error("begun"); return 0, nil }, none); err != errStop {
		t.Errorf("after the end: %v", err)
	}
}

// TestLeft: see TestCall.
func TestLeft(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	goOn, late := make(chan struct{}), make(chan int, 1)
	began := time.Now()
	_, err := Call(ctx, func() (int, error) { stop(errStop); <-goOn; return 7, nil }, func(n int) { late <- n })
	if took := time.Since(began); err != errStop || took > Grace+time.Second {
		t.Errorf("%v after %s", err, took)
	}
	close(goOn)
	if n := <-late; n != 7 {
		t.Errorf("late came %d", n)
	}
}
