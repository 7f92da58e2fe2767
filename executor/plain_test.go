package executor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestPlainDataIsLookedAtOnceMore: what is not the file system of the plan any more, or is
// larger than what would be encrypted, is not converted, and not touched.
func TestPlainDataIsLookedAtOnceMore(t *testing.T) {
	ext := make([]byte, crashDisk)
	copy(ext, extImage(t, crashData))
	for want, spoil := range map[string]func(*plan.Reencrypt){
		`expected a file system of kind "xfs", found "ext4"`:                                 func(a *plan.Reencrypt) { a.Filesystem = "xfs" },
		"the file system takes 6291456 bytes, more than the 6287360 that would be encrypted": func(a *plan.Reencrypt) { a.DataSize -= 4096 },
	} {
		dev := simdev.New(ext)
		c, v := shiftOf(t, dev)
		spoil(&c.action)
		if err := c.begin(context.Background(), v); err == nil || err.Error() != want {
			t.Errorf("shift: %v, not %q", err, want)
		}
		c.action.Room, c.action.HeaderPath = plan.RoomDetached, filepath.Join(t.TempDir(), "header")
		if err := c.beginDetached(context.Background(), v); err == nil || err.Error() != want {
			t.Errorf("detached: %v, not %q", err, want)
		}
		if _, err := os.Stat(c.action.HeaderPath); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a header file is there (%v)", err)
		}
		if n := len(dev.Log()); n > 0 {
			t.Errorf("%d operations", n)
		}
	}
}
