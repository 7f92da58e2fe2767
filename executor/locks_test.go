package executor

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner"
)

// meddling is a key during whose sealing another program adds one of its own.
type meddling struct {
	stub
	meddle func()
}

func (m meddling) Seal(ctx context.Context, key definitions.Key) (Sealed, error) {
	m.meddle()
	return m.stub.Seal(ctx, key)
}

// A key that another program adds while ours is made stays: nothing is written.
func TestKeyAddedMeanwhile(t *testing.T) {
	dev := simdev.New(vendorVolume(t))
	var theirs []byte
	env := keyEnv(t)
	env.Sealers = []Sealer{vendorFile{}, meddling{meddle: func() {
		change := planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}}
		if _, err := ChangeKeys(t.Context(), keyEnv(t), dev, change); err != nil {
			t.Fatal(err)
		}
		theirs = bytes.Clone(dev.Bytes())
	}}}
	_, err := ChangeKeys(t.Context(), env, dev, planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}})
	var overtaken *overtakenError
	if !errors.As(err, &overtaken) || !errors.Is(err, luks2.ErrChanged) {
		t.Errorf("it was not noticed: %v", err)
	}
	if !bytes.Equal(dev.Bytes(), theirs) {
		t.Error("the disk was written to after that")
	}
}
