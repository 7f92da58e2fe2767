package executor

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// TestTrailingIsLookedAtAgain: what came to lie behind a file system after the plan was made
// is not taken, and nothing else is written either.
func TestTrailingIsLookedAtAgain(t *testing.T) {
	w := newWhole(t, true)
	image := bytes.Clone(w.image)
	copy(image[wholeRoot.Offset+wholeFS+5000:], "an overlay")
	dev := simdev.New(image)
	plan, err := w.plan(dev)
	if err != nil {
		t.Fatal(err)
	}
	env := w.env
	env.Random = rand.NewChaCha8([32]byte{1})
	_, err = Apply(t.Context(), simTarget{dev, true}, plan, env)
	want := "reencrypt: its ext4 ends at byte 41943040 of the partition, and behind it lies data of no known kind at byte 46141440 of the disk (LBA 90120), which would be destroyed"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if n := len(dev.Log()); n > 0 {
		t.Errorf("%d operations on the disk", n)
	}
}
