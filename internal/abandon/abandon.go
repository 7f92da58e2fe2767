// Package abandon leaves calls behind that nothing can end: those into a library that waits
// for a device, or into the kernel. What they hold goes with the process.
package abandon

import (
	"context"
	"time"
)

// Grace is how long a call is still waited for once it is to end: most then end by
// themselves, and tidy up.
const Grace = 1500 * time.Millisecond

// result is what a call came to.
type result[T any] struct {
	value T
	err   error
}

// Call returns what call does, or the cause of ctx's end where that comes first and call has
// not returned within Grace after it. Then call goes on alone, and late is given what it
// returns without an error: to wipe it. Where ctx has ended already, call is not begun.
func Call[T any](ctx context.Context, call func() (T, error), late func(T)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	ended := make(chan result[T])
	left := make(chan struct{})
	go func() {
		value, err := call()
		select {
		case ended <- result[T]{value, err}:
		case <-left:
			if err == nil {
				late(value)
			}
		}
	}()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-ended:
		return r.value, r.err
	case <-time.After(Grace):
		close(left)
		return none, context.Cause(ctx)
	}
}
