package executor

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
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
		if _, _, err := ChangeKeys(t.Context(), keyEnv(t), dev, decided(change)); err != nil {
			t.Fatal(err)
		}
		theirs = bytes.Clone(dev.Bytes())
	}}}
	_, _, err := ChangeKeys(t.Context(), env, dev, decided(planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}}))
	var overtaken *overtakenError
	if !errors.As(err, &overtaken) || !errors.Is(err, luks2.ErrChanged) {
		t.Errorf("it was not noticed: %v", err)
	}
	if !bytes.Equal(dev.Bytes(), theirs) {
		t.Error("the disk was written to after that")
	}
}

// decided is what was decided whatever the header says.
func decided(change planner.KeyChange) func(*disk.LUKS) (planner.KeyChange, error) {
	return func(*disk.LUKS) (planner.KeyChange, error) { return change, nil }
}

// A key that another program removes while we decide by it that ours may go was counted on:
// ours stays, and so does one that comes meanwhile.
func TestDecidedMeanwhile(t *testing.T) {
	volume := vendorVolume(t)
	removes := func(slot int) func(*disk.LUKS) (planner.KeyChange, error) {
		return func(l *disk.LUKS) (planner.KeyChange, error) { return planner.RemoveKey(l, slot, false) }
	}
	for name, theirs := range map[string]func(*disk.LUKS) (planner.KeyChange, error){
		"removed": removes(1),
		"added":   decided(planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}}),
	} {
		dev, env := simdev.New(volume), keyEnv(t)
		env.Sealers = append(env.Sealers, vendorFile{})
		var left []byte
		_, _, err := ChangeKeys(t.Context(), env, dev, func(l *disk.LUKS) (planner.KeyChange, error) {
			if _, _, err := ChangeKeys(t.Context(), env, dev, theirs); err != nil {
				t.Fatal(err)
			}
			left = bytes.Clone(dev.Bytes())
			return removes(0)(l)
		})
		if !errors.Is(err, luks2.ErrChanged) {
			t.Errorf("%s: it was not noticed: %v", name, err)
		}
		if !bytes.Equal(dev.Bytes(), left) {
			t.Errorf("%s: the disk was written to after that", name)
		}
	}
}
