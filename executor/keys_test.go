package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/planner"
)

// keyEnv opens the vendor's volume by a key file, and adds the stub's key.
func keyEnv(t testing.TB) Env {
	env := testEnv(t)
	env.Sealers = append(env.Sealers, vendorFile{})
	env.Keys = []definitions.Key{{Type: definitions.KeyFile}}
	return env
}

// keyChanges are changes of vendorVolume, which the vendor's passphrase opens by the
// keyslots 0 and 2 and somebody else's by 1: who opens it before and afterwards.
var keyChanges = map[string]struct {
	change        planner.KeyChange
	before, after map[string]bool
}{
	"add": {
		planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}},
		map[string]bool{vendorPassphrase: true, "somebody else's": true, passphrase: false},
		map[string]bool{vendorPassphrase: true, "somebody else's": true, passphrase: true},
	},
	"remove": {
		planner.KeyChange{Remove: []int{1}},
		map[string]bool{vendorPassphrase: true, "somebody else's": true},
		map[string]bool{vendorPassphrase: true, "somebody else's": false},
	},
	"rotate": {
		planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}, Remove: []int{1}},
		map[string]bool{vendorPassphrase: true, "somebody else's": true, passphrase: false},
		map[string]bool{vendorPassphrase: true, "somebody else's": false, passphrase: true},
	},
}

// TestCrashWithKeyChanges cuts the power anywhere in a change of keys: by cryptsetup's
// judgement the keys are at every instant those before or those afterwards, and whoever
// begins again from there can.
func TestCrashWithKeyChanges(t *testing.T) {
	t.Parallel()
	volume := vendorVolume(t)
	for name, c := range keyChanges {
		t.Run(name, func(t *testing.T) {
			whole := simdev.New(volume)
			if _, _, err := ChangeKeys(context.Background(), keyEnv(t), whole, decided(c.change)); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(seedOfCrashes(), 6))
			seen := map[bool]int{}
			for k := range len(whole.Log()) + 1 {
				cut := whole.CrashAfter(k, rng)
				old, fresh := opensAs(t, cut.Bytes(), c.before), opensAs(t, cut.Bytes(), c.after)
				if old == fresh {
					t.Fatalf("seed %d, after operation %d of %d: keys as before: %v, as afterwards: %v", seedOfCrashes(), k, len(whole.Log()), old, fresh)
				}
				seen[fresh]++
				if fresh {
					continue
				}
				if _, _, err := ChangeKeys(context.Background(), keyEnv(t), cut, decided(c.change)); err != nil || !opensAs(t, cut.Bytes(), c.after) {
					t.Fatalf("seed %d, begun again after operation %d: %v", seedOfCrashes(), k, err)
				}
			}
			if seen[false] == 0 || seen[true] == 0 {
				t.Errorf("%d cuts before the header's commit, %d after", seen[false], seen[true])
			}
		})
	}
}

// opensAs reports whether these passphrases open a volume, or not, as they should.
func opensAs(t testing.TB, volume []byte, want map[string]bool) bool {
	t.Helper()
	for key, opens := range want {
		if opensBy(t, volume, key) != opens {
			return false
		}
	}
	return true
}

// TestKeyChangeFailures: where the volume cannot be opened, a key not be made or proven,
// or a new key is the old one, nothing is written.
func TestKeyChangeFailures(t *testing.T) {
	volume := vendorVolume(t)
	add := keyChanges["add"].change
	for name, c := range map[string]struct {
		change planner.KeyChange
		spoil  func(*Env)
		want   string
	}{
		"no key":         {add, func(e *Env) { e.Keys = nil }, ErrNoKey.Error()},
		"sealer fails":   {add, func(e *Env) { e.Sealers[0] = stub{fail: errBoom} }, errBoom.Error()},
		"unknown kind":   {planner.KeyChange{Add: []definitions.Key{{Type: "prayer"}}}, func(*Env) {}, "prayer"},
		"the same again": {planner.KeyChange{Add: []definitions.Key{{Type: "stub"}}, Remove: []int{0}}, func(e *Env) { e.Sealers[0] = sameStub{} }, "it is the key that keyslot 0 has already"},
		"the last ones":  {planner.KeyChange{Remove: []int{0, 1, 2}}, func(*Env) {}, "the last one"},
	} {
		dev := simdev.New(volume)
		env := keyEnv(t)
		c.spoil(&env)
		if _, _, err := ChangeKeys(context.Background(), env, dev, decided(c.change)); err == nil || !strings.Contains(err.Error(), c.want) || len(dev.Log()) > 0 {
			t.Errorf("%s: %v, %d operations", name, err, len(dev.Log()))
		}
	}
}

// sameStub seals the vendor's own passphrase.
type sameStub struct{ stub }

func (s sameStub) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	sealed, err := s.stub.Seal(ctx, k)
	same, takeErr := vendorFile{}.Unseal(ctx, k, nil)
	sealed.Passphrase = same
	return sealed, errors.Join(err, takeErr)
}
