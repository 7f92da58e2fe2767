package executor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// chip is a key of type tpm2 that may be absent, fail, or go missing once it is made.
type chip struct{ seal, unseal error }

// tpmPassphrase is what the chip guards.
const tpmPassphrase = "what the chip guards"

func (chip) Kind() string      { return definitions.KeyTPM2 }
func (chip) TokenType() string { return "systemd-tpm2" }

func (c chip) Seal(context.Context, definitions.Key) (Sealed, error) {
	if c.seal != nil {
		return Sealed{}, c.seal
	}
	p, err := secret.Take([]byte(tpmPassphrase))
	return Sealed{Passphrase: p, Token: []byte(`{"type":"systemd-tpm2","keyslots":[],"tpm2-pcrs":[7],"tpm2-pcr-bank":"sha256"}`), KDF: luks2.TokenKDF()}, err
}

func (c chip) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	if c.unseal != nil {
		return nil, c.unseal
	}
	return secret.Take([]byte(tpmPassphrase))
}

// paper is a recovery key that notes whether it was handed out.
type paper struct {
	tokenless
	out *bool
}

func (paper) Kind() string      { return definitions.KeyRecovery }
func (paper) TokenType() string { return disk.TokenRecovery }

func (p paper) Seal(ctx context.Context, k definitions.Key) (Sealed, error) {
	*p.out = true
	sealed, err := p.tokenless.Seal(ctx, k)
	sealed.Token, sealed.HandedOut = []byte(`{"type":"systemd-recovery","keyslots":[]}`), true
	return sealed, err
}

var errGone = key.Absent(errors.New("no chip"))

// TestAbsentKeys: a key that is absent is left out where another does for the machine;
// all else fails, and a key for people is handed out for no volume that is not made.
func TestAbsentKeys(t *testing.T) {
	tpm, file, recovery := definitions.Key{Type: definitions.KeyTPM2}, definitions.Key{Type: definitions.KeyFile}, definitions.Key{Type: definitions.KeyRecovery}
	required := tpm
	required.Required = true
	here := chip{}
	for name, c := range map[string]struct {
		keys  []definitions.Key
		chip  chip
		fails string // "" where the volume is made
		slots int
		waits bool
	}{
		"all there":              {[]definitions.Key{tpm, file, recovery}, here, "", 3, false},
		"absent":                 {[]definitions.Key{tpm, file}, chip{seal: errGone}, "", 1, true},
		"absent, last":           {[]definitions.Key{recovery, file, tpm}, chip{seal: errGone}, "", 2, true},
		"required":               {[]definitions.Key{file, required}, chip{seal: errGone}, "key 2 (tpm2): no chip", 0, false},
		"nothing else":           {[]definitions.Key{tpm}, chip{seal: errGone}, "key 1 (tpm2): no chip", 0, false},
		"only people":            {[]definitions.Key{recovery, tpm}, chip{seal: errGone}, "only a recovery key would be left", 0, false},
		"people, as asked for":   {[]definitions.Key{recovery}, here, "", 1, false},
		"it refuses":             {[]definitions.Key{tpm, file}, chip{seal: errBoom}, errBoom.Error(), 0, false},
		"gone once it is sealed": {[]definitions.Key{tpm, file}, chip{unseal: errGone}, "sealed, but cannot be unsealed again", 0, false},
	} {
		env, handedOut := testEnv(t), false
		env.Sealers = []Sealer{c.chip, tokenless{}, paper{out: &handedOut}}
		e := stubEncryption(2*disk.MiB, 512)
		e.Keys = c.keys
		v, err := newVolume(context.Background(), env, e)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) || handedOut {
				t.Errorf("%s: %v, handed out: %v", name, err, handedOut)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		waits := slices.ContainsFunc(v.header.Tokens(), func(tok luks2.Token) bool { return tok.Type == disk.TokenAwaits })
		if n := len(v.header.Keyslots()); n != c.slots || waits != c.waits || waits != (len(v.absent) > 0) {
			t.Errorf("%s: %d keyslots, waits: %v", name, n, waits)
		}
		v.wipe()
	}
}

// lateDefinition wants the chip's key and a file's, in a vendor's volume.
var lateDefinition = map[string]string{"10-data": `partition = { type = "linux-generic", weight = 0, size_min = "1M" }
encryption = { existing = "enroll", existing_key = "file:/vendor", key = [{ type = "tpm2", pcrs = [7] }, { type = "file" }] }`}

// TestCrashWithLateKey cuts the power anywhere while the key of a chip that was absent
// at first is added: the file's key opens the volume at every instant, by cryptsetup's
// judgement, and the next run ends where one run does. Where the chip is absent still
// nothing is written.
func TestCrashWithLateKey(t *testing.T) {
	t.Parallel()
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	absent, there := []Sealer{chip{seal: errGone}, tokenless{}}, []Sealer{chip{}, tokenless{}}
	if err := applyWith(t, dev, lateDefinition, nil, absent...); err != nil {
		t.Fatal(err)
	}
	first := opensAs(t, read(t, dev, gapData), map[string]bool{passphrase: true, vendorPassphrase: false, tpmPassphrase: false})
	if !first {
		t.Fatal("without the chip the volume is not that of the file's key alone")
	}
	done := len(dev.Log())
	for _, known := range [][]definitions.Key{nil, {{Type: definitions.KeyTPM2}}} {
		if err := applyWith(t, dev, lateDefinition, known, absent...); err != nil || len(dev.Log()) != done {
			t.Fatalf("the chip is absent still: %v, %d operations", err, len(dev.Log())-done)
		}
	}
	image := dev.Bytes()
	whole := simdev.New(image)
	if err := applyWith(t, whole, lateDefinition, nil, there...); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seedOfCrashes(), 7))
	late := 0
	for k := range len(whole.Log()) + 1 {
		cut := whole.CrashAfter(k, rng)
		if !opensBy(t, read(t, cut, gapData), passphrase) {
			t.Fatalf("seed %d, after operation %d: the file's key does not open it", seedOfCrashes(), k)
		}
		if opensBy(t, read(t, cut, gapData), tpmPassphrase) {
			late++
		}
		if err := applyWith(t, cut, lateDefinition, nil, there...); err != nil || !opensBy(t, read(t, cut, gapData), tpmPassphrase) {
			t.Fatalf("seed %d, after operation %d of %d: %v", seedOfCrashes(), k, len(whole.Log()), err)
		}
		done := len(cut.Log())
		if err := applyWith(t, cut, lateDefinition, nil, there...); err != nil || len(cut.Log()) != done {
			t.Fatalf("seed %d, after operation %d: the run after wrote something: %v", seedOfCrashes(), k, err)
		}
	}
	if late == 0 || late > len(whole.Log()) {
		t.Errorf("%d cuts after the header's commit", late)
	}
}

// TestLateKeyRefused: a chip that is there now and refuses fails the run, but the volume is
// guarded, and a boot need not stop for it.
func TestLateKeyRefused(t *testing.T) {
	dev := simdev.New(gapImage(t, vendorVolume(t)))
	var unavailable *UnavailableError
	if err := applyWith(t, dev, lateDefinition, nil, chip{seal: errBoom}, tokenless{}); !errors.As(err, &unavailable) || len(dev.Log()) > 0 {
		t.Errorf("the vendor's key guards it still: %v", err)
	}
	if err := applyWith(t, dev, lateDefinition, nil, chip{seal: errGone}, tokenless{}); err != nil {
		t.Fatal(err)
	}
	done := len(dev.Log())
	err := applyWith(t, dev, lateDefinition, nil, chip{seal: errBoom}, tokenless{})
	if !errors.Is(err, errBoom) || errors.As(err, &unavailable) || len(dev.Log()) != done {
		t.Errorf("its own key guards it: %v, %d operations", err, len(dev.Log())-done)
	}
}
