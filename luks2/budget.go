package luks2

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// patience is how long all derivations that one header asks for may take together: those of
// its keyslots, its digests and its tokens. A keyslot is made to take about two seconds: 32
// of them, on a machine five times slower than the one that made them, are tried in it. A
// header that costs more is made to keep a boot.
const patience = 5 * time.Minute

// ErrTooCostly says that the derivations of a header have taken so long that no more of
// them are tried.
var ErrTooCostly = errors.New("too costly")

// budget is what the derivations of one header may take.
type budget struct {
	most  time.Duration
	spent atomic.Int64 // nanoseconds of it
}

// budgetOf is the key by which a context has its budget.
type budgetOf struct{}

// Budgeted returns ctx with the header's budget, to which every derivation under it is
// charged. It is for what has to derive keys as a token of the header says: the methods of
// Header do it themselves.
func (h *Header) Budgeted(ctx context.Context) context.Context {
	if h.budget == nil {
		h.budget = &budget{most: patience}
	}
	return context.WithValue(ctx, budgetOf{}, h.budget)
}

// limited returns ctx with the end that its budget leaves, and what to call when the
// derivation is done. One that is no header's has the budget of one for itself.
func limited(ctx context.Context) (context.Context, func()) {
	b, ok := ctx.Value(budgetOf{}).(*budget)
	if !ok {
		b = &budget{most: patience}
	}
	began := time.Now()
	why := fmt.Errorf("the keyslots, digests and tokens of this header have taken %s together: %w", b.most, ErrTooCostly)
	ctx, cancel := context.WithTimeoutCause(ctx, max(b.most-time.Duration(b.spent.Load()), 0), why)
	return ctx, func() {
		cancel()
		b.spent.Add(int64(time.Since(began)))
	}
}
