package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/planner/plan"
	"golang.org/x/sync/errgroup"
)

// maxConversions is how many partitions are converted at once. Each has two
// buffers of a hot zone, and the workers are shared anyway; two keep a disk busy
// while one of them waits for a flush.
const maxConversions = 2

// convertAll converts all partitions with data, several at once. One that fails
// does not stop the others; all errors are returned together.
func (x *run) convertAll(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxConversions)
	var mu sync.Mutex
	var failed []error
	for _, action := range x.plan.Actions {
		group.Go(func() error {
			if err := x.convertOne(ctx, action); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in failed
	return errors.Join(failed...)
}

// convertOne converts one partition, unless the work was interrupted before it
// began.
func (x *run) convertOne(ctx context.Context, action plan.Action) error {
	err := interrupted(ctx)
	if err == nil {
		err = x.convert(ctx, action)
	}
	if err != nil {
		return fmt.Errorf("partition %d: %s: %w", action.Partition(), action.Kind(), err)
	}
	return nil
}

// oneAtATime lets only one conversion use a key at a time: a TPM on a socket
// serves one client.
type oneAtATime struct {
	Sealer
	mu *sync.Mutex
}

// oneAtATimeAll wraps all sealers.
func oneAtATimeAll(sealers []Sealer) []Sealer {
	mu := new(sync.Mutex)
	wrapped := make([]Sealer, len(sealers))
	for i, s := range sealers {
		wrapped[i] = oneAtATime{s, mu}
	}
	return wrapped
}

// Seal is that of the sealer, one call at a time.
func (s oneAtATime) Seal(ctx context.Context, key definitions.Key) (Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sealer.Seal(ctx, key)
}

// Unseal is that of the sealer, one call at a time.
func (s oneAtATime) Unseal(ctx context.Context, key definitions.Key, token []byte) (*secret.Buffer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sealer.Unseal(ctx, key, token)
}
