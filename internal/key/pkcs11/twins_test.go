//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
)

// newToken makes one more token of the label, and returns its slot.
func newToken(t *testing.T) string {
	t.Helper()
	said := run(t, "softhsm2-util", "--init-token", "--free", "--label", "luks", "--pin", userPIN, "--so-pin", "5678")
	return string(regexp.MustCompile(`slot ([0-9]+)`).FindSubmatch(said)[1])
}

// newKey puts a key pair into the token of a slot, all of them under one label, and returns
// the sum that openssl makes of its public half.
func newKey(t *testing.T, slot, id string, more ...string) (sum string) {
	t.Helper()
	dir := t.TempDir()
	private, der, public := filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.der"), filepath.Join(dir, "public.der")
	run(t, "openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
	run(t, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", private, "-outform", "DER", "-out", der)
	run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER", "-out", public)
	write := func(arguments ...string) {
		run(t, "pkcs11-tool", append([]string{"--module", softhsm, "--slot", slot, "--login", "--pin", userPIN, "--id", id, "--label", "luks1"}, arguments...)...)
	}
	write("--write-object", der, "--type", "privkey", "--usage-decrypt")
	write(append([]string{"--write-object", public, "--type", "pubkey"}, more...)...)
	return strings.Fields(string(run(t, "sha256sum", public)))[0]
}

// TestTwins: a URI fits two tokens, and two keys of one of them. The fingerprint of the
// definition chooses where a key is enrolled, and that in the header where it is opened.
func TestTwins(t *testing.T) {
	softHSM(t)
	first, second := newToken(t), newToken(t)
	sums := []string{newKey(t, first, "01"), newKey(t, second, "01"), newKey(t, second, "02")}
	asked := 0
	if _, err := withPIN(userPIN, &asked).Seal(t.Context(), onToken()); !errors.Is(err, ErrSeveral) || asked > 0 {
		t.Errorf("without a fingerprint: %v, asked %d times", err, asked)
	}
	for _, sum := range sums {
		k := onToken()
		k.KeySHA256 = sum
		s := withPIN(userPIN, &asked)
		sealed, err := s.Seal(t.Context(), k)
		if err != nil || Fingerprint(sealed.Token) != sum || !s.There(t.Context(), k) {
			t.Fatalf("%s: %v, sealed by %s", sum, err, Fingerprint(sealed.Token))
		}
		again, err := withPIN(userPIN, &asked).Unseal(t.Context(), onToken(), sealed.Token)
		if err != nil || !bytes.Equal(again.Bytes(), sealed.Passphrase.Bytes()) {
			t.Errorf("%s: %v", sum, err)
		}
	}
	k := onToken()
	k.KeySHA256 = strings.Repeat("00", 32)
	asked = 0
	s := withPIN(userPIN, &asked)
	if _, err := s.Seal(t.Context(), k); !errors.Is(err, ErrOther) || !errors.Is(err, key.ErrAbsent) || asked > 0 || s.There(t.Context(), k) {
		t.Errorf("a key that is not there: %v, asked %d times, there: %v", err, asked, s.There(t.Context(), k))
	}
}

// inBoot is a Sealer whose PIN is a credential, as in a boot, and what it gave it away for
// counted.
func inBoot(given *int, known ...definitions.Key) *Sealer {
	s := NewSealer(known, "", func(context.Context, string, string) (*secret.Buffer, error) {
		*given++
		return secret.Take([]byte(userPIN))
	})
	s.Unseen = true
	return s
}

// TestAnotherTokenOfTheLabel: in a boot, a token that has the label of the owner's and
// another key is neither enrolled nor given the PIN, whatever a header says.
func TestAnotherTokenOfTheLabel(t *testing.T) {
	softHSM(t)
	sum := newKey(t, newToken(t), "01")
	asked := 0
	forged, err := withPIN(userPIN, &asked).Seal(t.Context(), onToken())
	if err != nil {
		t.Fatal(err)
	}
	named, right := onToken(), onToken()
	named.KeySHA256, right.KeySHA256 = strings.Repeat("00", 32), sum
	for name, c := range map[string]struct {
		key  definitions.Key
		want error
		pins int
	}{
		"by its label":    {onToken(), ErrUnnamed, 0},
		"another's key":   {named, ErrOther, 0},
		"the owner's key": {right, nil, 1},
	} {
		given := 0
		_, err := inBoot(&given, c.key).Seal(t.Context(), c.key)
		if !errors.Is(err, c.want) || given > 0 {
			t.Errorf("%s: %v, the PIN is given %d times to encrypt", name, err, given)
		}
		_, err = inBoot(&given, c.key).Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11}, forged.Token)
		if !errors.Is(err, c.want) || given != c.pins {
			t.Errorf("%s: %v, the PIN is given %d times", name, err, given)
		}
	}
	given := 0
	if _, err := inBoot(&given).Unseal(t.Context(), onToken(), forged.Token); !errors.Is(err, ErrUnnamed) || given > 0 {
		t.Errorf("no definition at all: %v, the PIN is given %d times", err, given)
	}
}

// TestHiddenKey: a token that shows no public key before the PIN does not get it in a boot.
// Where somebody is there it does, and the key is compared then.
func TestHiddenKey(t *testing.T) {
	softHSM(t)
	k, other := onToken(), onToken()
	k.KeySHA256, other.KeySHA256 = newKey(t, newToken(t), "01", "--private"), strings.Repeat("00", 32)
	given := 0
	if _, err := inBoot(&given, k).Seal(t.Context(), k); !errors.Is(err, ErrHidden) || given > 0 {
		t.Errorf("in a boot: %v, the PIN is given %d times", err, given)
	}
	sealed, err := withPIN(userPIN, &given).Seal(t.Context(), k)
	if err != nil || given != 1 {
		t.Fatalf("by hand: %v, the PIN is given %d times", err, given)
	}
	if _, err := withPIN(userPIN, &given).Unseal(t.Context(), k, sealed.Token); err != nil {
		t.Error(err)
	}
	if _, err := withPIN(userPIN, &given).Seal(t.Context(), other); !errors.Is(err, ErrOther) {
		t.Errorf("another key: %v", err)
	}
}

// TestProvisionInBoot: what is part of the machine is made a token in a boot, and opened in
// one; SoftHSM says that its slots hold nothing removable.
func TestProvisionInBoot(t *testing.T) {
	softHSM(t)
	k, given := provisioned(definitions.PairP256), 0
	sealed, err := inBoot(&given, k).Seal(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inBoot(&given, k).Unseal(t.Context(), definitions.Key{}, sealed.Token); err != nil {
		t.Error(err)
	}
}
