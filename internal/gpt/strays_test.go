package gpt

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
)

// TestStrays: of the backup of a table for a smaller disk all is found that could be seen again,
// header and array; of the table in its own place nothing.
func TestStrays(t *testing.T) {
	const small, large = 8 * disk.MiB, 16 * disk.MiB
	dev := simdev.New(make([]byte, large))
	state, err := New(small, 512, uuid.Must(uuid.NewRandomFromReader(rand.Reader)))
	if err != nil {
		t.Fatal(err)
	}
	writes, err := state.Writes(state.Table, nil, small)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	places, err := Strays(bytes.NewReader(dev.Bytes()), large, 512)
	want := []disk.Extent{{Offset: small - 512, Size: 512}, {Offset: small - 33*512, Size: 32 * 512}}
	if d := cmp.Diff(want, places); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}
