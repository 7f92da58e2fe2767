package executor

import (
	"context"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/planner"
)

// elsewhere is a key that only another machine can unseal.
type elsewhere struct{ tokenless }

func (elsewhere) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	sealed, err := tokenless{}.Seal(ctx, k)
	sealed.Unproven = "it is sealed to another machine"
	return sealed, err
}

// TestOldKeyStaysUntilItsSuccessorIsProven: where no new key could be shown to open the
// volume, no road takes away what opens it now, or encrypts what is plain; nothing is written.
func TestOldKeyStaysUntilItsSuccessorIsProven(t *testing.T) {
	const noneProven = "no key could be shown to open the volume: it is sealed to another machine; add one that opens here, such as a recovery key"
	volume, plain := vendorVolume(t), extImage(t, gapData.Size)
	for name, content := range map[string][]byte{"enroll": volume, "rekey": volume, "convert": plain} {
		files := map[string]map[string]string{"enroll": enrollDefinition, "rekey": rekeyDefinition, "convert": gapDefinition}[name]
		for _, c := range []struct {
			sealer Sealer
			want   string
		}{{elsewhere{}, noneProven}, {forgetful{}, "does not open by it"}} {
			dev := simdev.New(gapImage(t, content))
			err := applyTo(t, dev, files, c.sealer)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, not %q", name, err, c.want)
			}
			if n := len(dev.Log()); n > 0 {
				t.Errorf("%s: %d operations on the disk", name, n)
			}
		}
	}
	dev := simdev.New(volume)
	env := keyEnv(t)
	env.Sealers[0] = unprovenStub{}
	_, _, err := ChangeKeys(context.Background(), env, dev, decided(planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}, Remove: []int{1}}))
	if err == nil || err.Error() != noneProven || len(dev.Log()) > 0 {
		t.Errorf("rotate: %v, %d operations", err, len(dev.Log()))
	}
}

// unprovenStub is elsewhere under the stub's name.
type unprovenStub struct{ stub }

func (unprovenStub) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	return elsewhere{}.Seal(ctx, k)
}

// TestUnprovenBesideProven: one key that opens here is enough.
func TestUnprovenBesideProven(t *testing.T) {
	dev := simdev.New(vendorVolume(t))
	env := keyEnv(t)
	env.Sealers = []Sealer{unprovenStub{}, vendorFile{}, handedOut{}}
	change := planner.KeyChange{Add: []definitions.Key{{Type: "stub"}, {Type: "handed out"}}, Remove: []int{1}}
	if _, _, err := ChangeKeys(context.Background(), env, dev, decided(change)); err != nil {
		t.Error(err)
	}
	if opensBy(t, dev.Bytes(), "somebody else's") || !opensBy(t, dev.Bytes(), passphrase) {
		t.Error("the old key is still there, or the new one is not")
	}
}

// handedOut is a key that a person has.
type handedOut struct{ stub }

func (handedOut) Kind() string { return "handed out" }

func (s handedOut) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	sealed, err := tokenless{}.Seal(ctx, k)
	sealed.HandedOut = true
	return sealed, err
}
