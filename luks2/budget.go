package luks2

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// patience is how long the keyslots and digests of one header may take together. A keyslot
// is made to take about two seconds: 32 of them, on a machine five times slower than the
// one that made them, are tried in it. A header that costs more is made to keep a boot.
const patience = 5 * time.Minute

// ErrTooCostly says that a header's keyslots and digests have taken so long that no more of
// them are tried.
var ErrTooCostly = errors.New("too costly")

// limited returns ctx with the end that is left of the header's patience, and what to call
// when the work is done.
func (h *Header) limited(ctx context.Context) (context.Context, func()) {
	all := patience
	if h.patience > 0 {
		all = h.patience
	}
	began := time.Now()
	why := fmt.Errorf("the keyslots and digests of this header have taken %s together: %w", all, ErrTooCostly)
	ctx, cancel := context.WithTimeoutCause(ctx, max(all-h.spent, 0), why)
	return ctx, func() {
		cancel()
		h.spent += time.Since(began)
	}
}
