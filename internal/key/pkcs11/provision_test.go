//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/testenv"
)

// provisioned is a key whose token is to be made.
func provisioned(kind string) definitions.Key {
	return definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=lmp;object=disk;id=%9d", Module: softhsm, PIN: "credential:pin", Provision: true, KeyType: kind}
}

// unattended is a Sealer whose PIN is a credential, which a pipe gives: once.
func unattended(t *testing.T, pin string) *Sealer {
	read := false
	return NewSealer(nil, "", func(_ context.Context, source, _ string) (*secret.Buffer, error) {
		if source != "credential:pin" || read {
			t.Errorf("%s is read, or again", source)
		}
		read = true
		return secret.Take([]byte(pin + "\n"))
	})
}

// tool runs pkcs11-tool as the token's user.
func tool(t *testing.T, arguments ...string) string {
	t.Helper()
	return string(run(t, "pkcs11-tool", append([]string{"--module", softhsm, "--token-label", "lmp", "--login", "--pin", userPIN}, arguments...)...))
}

// makes has the token made, or finished, and opens with it what was sealed.
func makes(t *testing.T, key definitions.Key) {
	t.Helper()
	s := unattended(t, userPIN)
	sealed, err := s.Seal(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Unseal(t.Context(), key, sealed.Token)
	if err != nil || !bytes.Equal(again.Bytes(), sealed.Passphrase.Bytes()) {
		t.Fatalf("%v", err)
	}
	judge(t, key.KeyType)
}

// judge has pkcs11-tool and openssl look at the token.
func judge(t *testing.T, kind string) {
	t.Helper()
	objects, wants := tool(t, "--list-objects"), []string{"Private Key Object; RSA", "decrypt, sign", "Public Key Object; RSA 2048 bits"}
	if kind == definitions.PairP256 {
		wants = []string{"Private Key Object; EC", "sign, derive", "EC_POINT 256 bits"}
	}
	for _, want := range append(wants, "sensitive, always sensitive, never extractable, local", "Certificate Object; type = X.509 cert", "DN: CN=lmp") {
		if !strings.Contains(objects, want) {
			t.Errorf("pkcs11-tool does not say %q:\n%s", want, objects)
		}
	}
	if n := strings.Count(objects, "label:      disk"); n != 3 || strings.Count(objects, "ID:         9d") != 3 || strings.Contains(objects, "Data object") {
		t.Errorf("%d objects are named:\n%s", n, objects)
	}
	certificate := filepath.Join(t.TempDir(), "cert.der")
	tool(t, "--read-object", "--type", "cert", "--id", "9d", "--output-file", certificate)
	run(t, "openssl", "x509", "-inform", "DER", "-in", certificate, "-out", certificate+".pem")
	run(t, "openssl", "verify", "-CAfile", certificate+".pem", certificate+".pem")
	// softhsm2-util has no certificate of ours: the officer's PIN is judged by a new user PIN.
	run(t, "pkcs11-tool", "--module", softhsm, "--token-label", "lmp", "--login", "--login-type", "so", "--so-pin", userPIN, "--init-pin", "--new-pin", userPIN)
}

// TestProvision: of a blank token comes one that systemd-cryptenroll enrols, and we open;
// the second time it is used as it is.
func TestProvision(t *testing.T) {
	for _, kind := range []string{definitions.PairRSA2048, definitions.PairP256} {
		t.Run(kind, func(t *testing.T) {
			dir := softHSM(t)
			makes(t, provisioned(kind))
			before := content(t, dir)
			makes(t, provisioned(kind))
			if after := content(t, dir); after != before {
				t.Error("the token has changed the second time")
			}
			if kind == definitions.PairRSA2048 {
				systemdEnrols(t, provisioned(kind))
			}
		})
	}
}

func systemdEnrols(t *testing.T, key definitions.Key) {
	image, keyFile := volume(t)
	t.Setenv("PIN", userPIN)
	run(t, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--pkcs11-token-uri="+key.URI, image)
	passphrase, err := unattended(t, userPIN).Unseal(t.Context(), key, run(t, "cryptsetup", "token", "export", "--token-id", "0", image))
	if err != nil {
		t.Fatal(err)
	}
	open := exec.Command(testenv.Need(t, "cryptsetup"), "open", "--test-passphrase", "--key-file", "-", image)
	open.Stdin = bytes.NewReader(passphrase.Bytes())
	if out, err := open.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestProvisionGoesOn: from each state that a power cut leaves, as pkcs11-tool makes it.
func TestProvisionGoesOn(t *testing.T) {
	blank := func(t *testing.T, pin string) {
		run(t, "pkcs11-tool", "--module", softhsm, "--slot", "0", "--init-token", "--label", "lmp", "--so-pin", pin)
	}
	officer := func(t *testing.T, arguments ...string) {
		run(t, "pkcs11-tool", append([]string{"--module", softhsm, "--token-label", "lmp", "--login", "--login-type", "so", "--so-pin", userPIN}, arguments...)...)
	}
	mark := func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "nothing")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		officer(t, "--write-object", file, "--type", "data", "--application-label", markApplication, "--label", markLabel)
	}
	for name, states := range map[string]func(t *testing.T){
		"initialised": func(t *testing.T) { blank(t, userPIN) },
		"marked":      func(t *testing.T) { blank(t, userPIN); mark(t) },
		"PIN set":     func(t *testing.T) { blank(t, userPIN); mark(t); officer(t, "--init-pin", "--new-pin", userPIN) },
		"key pair": func(t *testing.T) {
			blank(t, userPIN)
			mark(t)
			officer(t, "--init-pin", "--new-pin", userPIN)
			tool(t, "--keypairgen", "--key-type", "rsa:2048", "--id", "9d", "--label", "disk")
			tool(t, "--delete-object", "--type", "privkey", "--id", "9d")
		},
	} {
		t.Run(name, func(t *testing.T) {
			softHSM(t)
			states(t)
			makes(t, provisioned(definitions.PairRSA2048))
		})
	}
	t.Run("of others", func(t *testing.T) {
		softHSM(t)
		blank(t, "87654321")
		s := unattended(t, userPIN)
		for range 2 {
			if _, err := s.Seal(t.Context(), provisioned(definitions.PairRSA2048)); !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), "security officer") {
				t.Errorf("%v", err)
			}
		}
	})
}

// TestProvisionRefuses: what others have initialised is not touched.
func TestProvisionRefuses(t *testing.T) {
	dir := softHSM(t)
	run(t, "softhsm2-util", "--init-token", "--free", "--label", "lmp", "--pin", userPIN, "--so-pin", "5678")
	before, key := content(t, dir), provisioned(definitions.PairRSA2048)
	refused := func(pin string, want error) {
		t.Helper()
		_, err := unattended(t, pin).Seal(t.Context(), key)
		var told *Error
		if !errors.Is(err, want) || !errors.As(err, &told) || told.Hint() == "" {
			t.Errorf("%v, not %v", err, want)
		}
		if content(t, dir) != before {
			t.Error("the token has changed")
		}
	}
	refused(userPIN, ErrTaken)
	key.URI, key.Slot = "pkcs11:token=other", new(uint)
	*key.Slot = 4711
	refused(userPIN, ErrNoBlank)
	key.Slot = nil
	refused("123", ErrMaking)
}

// content is all that SoftHSM keeps, but locks.
func content(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join(dir, "tokens"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".object") || filepath.Base(path) == "token.object" {
			return err
		}
		text, err := os.ReadFile(path)
		all.WriteString(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestAlwaysAuthenticate: a key that wants the PIN for every use, as on PIV cards.
func TestAlwaysAuthenticate(t *testing.T) {
	for algorithm, option := range map[string]string{"RSA": "rsa_keygen_bits:2048", "EC": "ec_paramgen_curve:P-256"} {
		t.Run(algorithm, func(t *testing.T) {
			private := softToken(t, algorithm, option, true, "--always-auth")
			if objects := run(t, "pkcs11-tool", "--module", softhsm, "--token-label", "luks", "--login", "--pin", userPIN, "--list-objects"); !bytes.Contains(objects, []byte("always authenticate")) {
				t.Fatalf("pkcs11-tool made another key:\n%s", objects)
			}
			asked := 0
			s := withPIN(userPIN, &asked)
			sealed, err := s.Seal(t.Context(), onToken())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				again, err := s.Unseal(t.Context(), onToken(), sealed.Token)
				if err != nil || !bytes.Equal(again.Bytes(), opensslUnwraps(t, private, sealed.Token)) {
					t.Errorf("%v", err)
				}
			}
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// removable has softhsm2 say of its slots that anything can be put into them, or not.
func removable(t *testing.T, dir string, is bool) {
	t.Helper()
	text := fmt.Sprintf("directories.tokendir = %s\nlog.level = ERROR\nslots.removable = %v\n", filepath.Join(dir, "tokens"), is)
	if err := os.WriteFile(filepath.Join(dir, "softhsm2.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestProvisionRemovable: in a boot a token is made, and one that was made is given the PIN,
// only in a slot that is part of the machine: what somebody has put in is neither made the
// owner's, nor believed to be. Where somebody is there, any slot will do.
func TestProvisionRemovable(t *testing.T) {
	dir := softHSM(t)
	k := provisioned(definitions.PairP256)
	removable(t, dir, true)
	before, given := content(t, dir), 0
	if _, err := inBoot(&given, k).Seal(t.Context(), k); !errors.Is(err, ErrNoBlank) || given > 0 || content(t, dir) != before {
		t.Errorf("a blank token that was put in: %v, the PIN is given %d times, or the token differs", err, given)
	}
	sealed, err := unattended(t, userPIN).Seal(t.Context(), k)
	if err != nil {
		t.Fatalf("where somebody is there: %v", err)
	}
	before = content(t, dir)
	refused := func(what string, err error) {
		if !errors.Is(err, ErrLoose) || given > 0 || content(t, dir) != before {
			t.Errorf("%s: %v, the PIN is given %d times, or the token differs", what, err, given)
		}
	}
	_, err = inBoot(&given, k).Seal(t.Context(), k)
	refused("made before, to seal", err)
	_, err = inBoot(&given, k).Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11}, withoutFingerprint(t, sealed.Token))
	refused("made before, to open what systemd wrote", err)
	_, err = inBoot(&given, k).Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11}, sealed.Token)
	refused("made before, to open", err)
	removable(t, dir, false)
	if _, err := inBoot(&given, k).Seal(t.Context(), k); err != nil {
		t.Errorf("part of the machine, to seal: %v", err)
	}
	given = 0
	if _, err := inBoot(&given, k).Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11}, sealed.Token); err != nil || given != 1 {
		t.Errorf("part of the machine, to open: %v, the PIN is given %d times", err, given)
	}
}

// withoutFingerprint is a token as systemd-cryptenroll writes it.
func withoutFingerprint(t *testing.T, raw []byte) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "sealpart-key-sha256")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
