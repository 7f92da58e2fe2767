package blockdev

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Who is to stop does not wait for an udev that has much to do.
func TestWaitForUdevEnds(t *testing.T) {
	before := udevQueue
	defer func() { udevQueue = before }()
	udevQueue = filepath.Join(t.TempDir(), "queue")
	if err := os.WriteFile(udevQueue, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	awaitUdev(ctx)
	if took := time.Since(began); took > udevPatience/2 {
		t.Errorf("it waited for %s", took)
	}
}
