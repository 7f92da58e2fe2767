package executor

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/testenv"
	"github.com/sealpart/sealpart/planner/plan"
)

// enrollDefinition asks for keys of the definition in the only partition, a volume of
// the vendor's, and for the vendor's key to go.
var enrollDefinition = map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "enroll", existing_key = "file:/vendor", key = [{ type = "file" }] }`}

// vendorVolume is a volume as cryptsetup makes it, with two keyslots of the vendor's
// and one of somebody else.
func vendorVolume(t testing.TB) []byte {
	t.Helper()
	file := fileOf(t, make([]byte, gapData.Size))
	vendor, other := fileOf(t, []byte(vendorPassphrase)), fileOf(t, []byte("somebody else's"))
	cheap := []string{"--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}
	tool(t, "cryptsetup", append(cheap, "luksFormat", "--type", "luks2", "--offset", "4096", "--luks2-keyslots-size", "2064384",
		"--key-file", vendor, file)...)
	tool(t, "cryptsetup", append(cheap, "luksAddKey", "--key-file", vendor, file, other)...)
	tool(t, "cryptsetup", append(cheap, "luksAddKey", "--key-file", vendor, file, vendor)...)
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// opensBy reports whether cryptsetup opens a volume with a passphrase.
func opensBy(t testing.TB, volume []byte, passphrase string) bool {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), "open", "--test-passphrase", "--key-file", fileOf(t, []byte(passphrase)), fileOf(t, volume))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 { // no permission (bad passphrase)
		return false
	}
	if err != nil {
		t.Fatalf("cryptsetup open: %v\n%s", err, out)
	}
	return true
}

// checkEnrolled demands, by cryptsetup's judgement, that the volume opens by the
// definition's key and by that of somebody else, and not by the vendor's.
func checkEnrolled(t testing.TB, dev *simdev.Device) {
	t.Helper()
	volume := read(t, dev, gapData)
	for key, want := range map[string]bool{passphrase: true, "somebody else's": true, vendorPassphrase: false} {
		if opensBy(t, volume, key) != want {
			t.Errorf("%q opens the volume: %v", key, !want)
		}
	}
}

// TestEnroll: cryptsetup's volume gets our key and loses the vendor's, its data and
// its volume key stay, and a second run finds nothing to do.
func TestEnroll(t *testing.T) {
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	before := read(t, dev, gapData)
	for _, sealer := range []Sealer{tokenless{}, tokenless{}} {
		done := len(dev.Log())
		if err := applyTo(t, dev, enrollDefinition, sealer); err != nil {
			t.Fatal(err)
		}
		checkEnrolled(t, dev)
		if done > 0 && len(dev.Log()) > done {
			t.Error("the second run wrote something")
		}
	}
	after := read(t, dev, gapData)
	if !bytes.Equal(before[2*disk.MiB:], after[2*disk.MiB:]) {
		t.Error("the data changed")
	}
}

// forgetful is a key that gives back another secret than it took.
type forgetful struct{ tokenless }

func (forgetful) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return secret.Take([]byte("another"))
}

// vendorFile is the vendor's passphrase as a key file.
type vendorFile struct{ tokenless }

func (vendorFile) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return secret.Take([]byte(vendorPassphrase))
}

// TestEnrollWithoutExisting: any key that opens the volume will do, and none goes.
func TestEnrollWithoutExisting(t *testing.T) {
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	env := testEnv(t)
	x := newRun(env, simTarget{dev, false}, &plan.Plan{}, disk.Snapshot{})
	a := plan.Enroll{Number: 1, Extent: gapData, Keys: []definitions.Key{{Type: "stub"}}}
	if _, err := x.newEnroll(context.Background(), a); !errors.Is(err, ErrNoKey) {
		t.Errorf("opened by nothing: %v", err)
	}
	x.env.Sealers = append(x.env.Sealers, vendorFile{})
	x.env.Keys = []definitions.Key{{Type: definitions.KeyFile}}
	v, err := x.newEnroll(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer v.wipe()
	if len(dev.Log()) > 0 {
		t.Error("something was written before all was proven")
	}
	if err := x.enroll(a, v); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{passphrase, "somebody else's", vendorPassphrase} {
		if !opensBy(t, read(t, dev, gapData), key) {
			t.Errorf("%q does not open the volume", key)
		}
	}
}

// TestEnrollFailures: where the volume cannot be opened, or its new key not proven,
// nothing is written.
func TestEnrollFailures(t *testing.T) {
	volume := vendorVolume(t)
	for want, sealer := range map[string]Sealer{"key 1 (file): boom": tokenless{fileStub{stub{fail: errBoom}}}, "sealed, but keyslot 3 does not open by it": forgetful{}} {
		dev := simdev.New(gapImage(t, volume))
		if err := applyTo(t, dev, enrollDefinition, sealer); err == nil || !strings.Contains(err.Error(), want) || len(dev.Log()) > 0 {
			t.Errorf("%v, not %q; %d operations", err, want, len(dev.Log()))
		}
		if !opensBy(t, read(t, dev, gapData), vendorPassphrase) {
			t.Errorf("%s: the vendor's key is gone", want)
		}
	}
}

// TestCrashWithEnroll cuts the power anywhere: at every instant the vendor's key or
// the definition's opens the volume, and the next run ends where one run does: nothing but
// the header has changed, so no plain text is anywhere, and no passphrase.
func TestCrashWithEnroll(t *testing.T) {
	t.Parallel()
	const data = 2 << 20 // behind the header
	before := vendorVolume(t)
	copy(before[data:], used(gapData.Size-data)) // cipher text
	whole := simdev.New(gapImage(t, before))
	if err := applyTo(t, whole, enrollDefinition, tokenless{}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seedOfCrashes(), 5))
	old, fresh := 0, 0
	for k := range len(whole.Log()) + 1 {
		cut := whole.CrashAfter(k, rng)
		volume := read(t, cut, gapData)
		vendor, ours := opensBy(t, volume, vendorPassphrase), opensBy(t, volume, passphrase)
		if vendor == ours {
			t.Errorf("the vendor's key opens it: %v, the definition's: %v", vendor, ours)
		}
		if vendor {
			old++
		} else {
			fresh++
		}
		if err := applyTo(t, cut, enrollDefinition, tokenless{}); err != nil {
			t.Fatalf("after operation %d of %d: %v", k, len(whole.Log()), err)
		}
		checkEnrolled(t, cut)
		if !bytes.Equal(read(t, cut, gapData)[data:], before[data:]) {
			t.Error("the data has changed")
		}
		for _, secret := range []string{passphrase, vendorPassphrase} {
			if bytes.Contains(cut.Bytes(), []byte(secret)) {
				t.Errorf("the passphrase %q is on the disk", secret)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, after operation %d of %d", seedOfCrashes(), k, len(whole.Log()))
		}
	}
	if old == 0 || fresh == 0 {
		t.Errorf("%d cuts before the header's commit, %d after", old, fresh)
	}
}
