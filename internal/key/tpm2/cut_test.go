package tpm2

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// failures asks tpm2-tools how many wrong tries a TPM has counted.
func failures(t *testing.T, device string) string {
	t.Helper()
	found := regexp.MustCompile(`TPM2_PT_LOCKOUT_COUNTER: (0x[0-9A-F]+)`).FindSubmatch(run(t, device, "tpm2_getcap", "properties-variable"))
	if found == nil {
		t.Fatal("tpm2_getcap does not say")
	}
	return string(found[1])
}

// A machine that loses its power after each of ten openings is not taken for an attacker,
// whatever was opened and however it ended, also where others use the TPM after us. Three
// wrong tries are enough for a lockout here.
func TestPowerCutsAreNoWrongTries(t *testing.T) {
	pin := []byte("1234")
	for name, b := range map[string]Binding{
		"widest": {PCRs: []int{7}}, "widest with a PIN": {PCRs: []int{7}, PIN: pin},
		"newest": {PCRs: []int{7}, Newest: true}, "newest with a PIN": {PCRs: []int{7}, PIN: pin, Newest: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			device, cut := testenv.StartSWTPMPersistent(t, dir)
			tok := sealOnce(t, device, newSecret(t), b)
			secret, refused := []byte(nil), error(nil)
			for i := range 10 {
				cut()
				device, cut = testenv.StartSWTPMPersistent(t, dir)
				if i%3 == 2 { // it fails after the key above it was used
					extend(t, device, "7")
					refused = ErrPolicy
				} else {
					refused = nil
				}
				got, err := unsealOnce(t, device, tok, b.PIN)
				if i == 0 {
					secret = got
				}
				if !errors.Is(err, refused) || refused == nil && (len(got) != 32 || !bytes.Equal(got, secret)) {
					t.Fatalf("opening %d: %v", i+1, err)
				}
				extend(t, device, "16") // as the system does that is booted
			}
			cut()
			device, _ = testenv.StartSWTPMPersistent(t, dir)
			if n := failures(t, device); n != "0x0" {
				t.Errorf("the TPM has counted %s wrong tries", n)
			}
		})
	}
}

// sealOnce and unsealOnce open and close the TPM, as a run does.
func sealOnce(t *testing.T, device string, secret []byte, b Binding) Token {
	t.Helper()
	tpm, err := Open(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tpm.Seal(secret, b)
	if err := errors.Join(err, tpm.Close()); err != nil {
		t.Fatal(err)
	}
	return tok
}

func unsealOnce(t *testing.T, device string, tok Token, pin []byte) ([]byte, error) {
	t.Helper()
	tpm, err := Open(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := tpm.Unseal(tok, pin)
	if err := tpm.Close(); err != nil {
		t.Error(err)
	}
	return plain, err
}

// A wrong PIN still counts, once.
func TestWrongPINCountsOnce(t *testing.T) {
	dir := t.TempDir()
	device, cut := testenv.StartSWTPMPersistent(t, dir)
	tok := sealOnce(t, device, newSecret(t), Binding{PCRs: []int{7}, PIN: []byte("1234")})
	if _, err := unsealOnce(t, device, tok, []byte("4321")); !errors.Is(err, ErrPIN) {
		t.Fatal(err)
	}
	cut()
	device, _ = testenv.StartSWTPMPersistent(t, dir)
	if n := failures(t, device); n != "0x1" {
		t.Errorf("the TPM has counted %s wrong tries", n)
	}
}

// systemd-cryptsetup 252 says nothing to the TPM when it is done, and cuts after it count: the
// fourth boot would find the TPM locked. With Settle behind it, as the drop-in of its unit has
// it, ten do not.
func TestSettleAfterSystemd(t *testing.T) {
	dir := t.TempDir()
	device, cut := testenv.StartSWTPMPersistent(t, dir)
	image := sealedVolume(t, device, Binding{PCRs: []int{7}})
	for i := range 11 {
		cut()
		device, cut = testenv.StartSWTPMPersistent(t, dir)
		_, port, _ := strings.Cut(device, ",")
		if log := attachTo(t, "swtpm:"+port, image, ""); !bytes.Contains(log, []byte("[keyslot 1] using passphrase")) {
			t.Fatalf("opening %d:\n%s", i+1, log)
		}
		if i == 0 {
			continue // one that counts
		}
		if err := Settle(t.Context(), device); err != nil {
			t.Fatal(err)
		}
	}
	cut()
	device, _ = testenv.StartSWTPMPersistent(t, dir)
	if n := failures(t, device); n != "0x1" {
		t.Errorf("the TPM has counted %s wrong tries, want the one after which nobody settled it", n)
	}
	if err := Settle(t.Context(), "swtpm:path="+dir+"/none"); !errors.Is(err, ErrNoTPM) {
		t.Errorf("without a TPM: %v", err)
	}
}
