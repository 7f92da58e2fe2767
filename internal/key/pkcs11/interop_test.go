//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/testenv"
)

const (
	softhsm = "/usr/lib/softhsm/libsofthsm2.so"
	tokenUR = "pkcs11:token=luks;object=luks1"
	userPIN = "1234"
)

// softHSM is a SoftHSM without tokens; they are in the directory that is returned.
func softHSM(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	tokens := filepath.Join(dir, "tokens")
	if err := errors.Join(os.Mkdir(tokens, 0o700), os.WriteFile(config, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	return dir
}

// softToken makes a token of softhsm2 with a key pair made by openssl, and its
// certificate or public key object; more goes to pkcs11-tool for the private key. It returns that key's file.
func softToken(t *testing.T, algorithm, option string, certificate bool, more ...string) (private string) {
	t.Helper()
	dir := softHSM(t)
	run(t, "softhsm2-util", "--init-token", "--free", "--label", "luks", "--pin", userPIN, "--so-pin", "5678")
	private = filepath.Join(dir, "key.pem")
	run(t, "openssl", "genpkey", "-quiet", "-algorithm", algorithm, "-pkeyopt", option, "-out", private)
	der, other := filepath.Join(dir, "key.der"), filepath.Join(dir, "other.der")
	run(t, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", private, "-outform", "DER", "-out", der)
	usage := "--usage-decrypt"
	if algorithm == "EC" {
		usage = "--usage-derive"
	}
	write := func(arguments ...string) {
		run(t, "pkcs11-tool", append([]string{"--module", softhsm, "--token-label", "luks", "--login", "--pin", userPIN, "--id", "01", "--label", "luks1"}, arguments...)...)
	}
	write(append([]string{"--write-object", der, "--type", "privkey", usage}, more...)...)
	kind := "pubkey"
	if certificate {
		kind = "cert"
		run(t, "openssl", "req", "-x509", "-new", "-key", private, "-subj", "/CN=test", "-days", "3650", "-outform", "DER", "-out", other)
	} else {
		run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER", "-out", other)
	}
	write("--write-object", other, "--type", kind)
	return private
}

func run(t *testing.T, program string, arguments ...string) []byte {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, program), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, out)
	}
	return out
}

// withPIN is a Sealer whose PIN is asked for, and the question counted.
func withPIN(pin string, asked *int) *Sealer {
	return NewSealer(nil, "", func(_ context.Context, source, _ string) (*secret.Buffer, error) {
		if source != definitions.SourceAsk {
			return nil, os.ErrNotExist
		}
		*asked++
		return secret.Take([]byte(pin))
	})
}

func onToken() definitions.Key {
	return definitions.Key{Type: definitions.KeyPKCS11, URI: tokenUR, Module: softhsm}
}

// volume makes a LUKS2 volume in a file, with one keyslot for the key file.
func volume(t *testing.T) (image, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	image, keyFile = filepath.Join(dir, "vol.img"), filepath.Join(dir, "key")
	if err := errors.Join(os.WriteFile(keyFile, []byte("first key"), 0o600), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	run(t, "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", keyFile, image)
	return image, keyFile
}

// TestWhatSystemdEnrolled: the keyslot of systemd-cryptenroll opens with our passphrase,
// also where only p11-kit says which module has the token.
func TestWhatSystemdEnrolled(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	image, keyFile := volume(t)
	t.Setenv("PIN", userPIN)
	run(t, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--pkcs11-token-uri="+tokenUR, image)
	raw := run(t, "cryptsetup", "token", "export", "--token-id", "0", image)
	for _, k := range []definitions.Key{{}, onToken()} {
		asked := 0
		passphrase, err := withPIN(userPIN, &asked).Unseal(t.Context(), k, raw)
		if err != nil {
			t.Fatal(err)
		}
		open := exec.Command(testenv.Need(t, "cryptsetup"), "open", "--test-passphrase", "--key-file", "-", image)
		open.Stdin = bytes.NewReader(passphrase.Bytes())
		if out, err := open.CombinedOutput(); err != nil || asked != 1 {
			t.Errorf("cryptsetup: %v, asked %d times\n%s", err, asked, out)
		}
		passphrase.Wipe()
	}
}

// TestSystemdOpensOurs: systemd-cryptsetup 252 has the token decrypt what we encrypted,
// and opens the keyslot with it. Where there is no device mapper it stops right after.
func TestSystemdOpensOurs(t *testing.T) {
	program := testenv.Need(t, "systemd-cryptsetup")
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	image, keyFile := volume(t)
	asked := 0
	sealed, err := withPIN(userPIN, &asked).Seal(t.Context(), onToken())
	if err != nil || asked != 0 {
		t.Fatalf("%v, asked for the PIN %d times to encrypt", err, asked)
	}
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, sealed.Passphrase.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "cryptsetup", "luksAddKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", keyFile, image, passphrase)
	run(t, "cryptsetup", "luksKillSlot", "-q", "--key-file", passphrase, image, "0")
	bound := bytes.Replace(sealed.Token, []byte(`"keyslots":[]`), []byte(`"keyslots":["1"]`), 1)
	imported := exec.Command(testenv.Need(t, "cryptsetup"), "token", "import", "--token-id", "0", image)
	imported.Stdin = bytes.NewReader(bound)
	if message, err := imported.CombinedOutput(); err != nil {
		t.Fatalf("token import: %v\n%s", err, message)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const name = "sealpart-pkcs11-test"
	attach := exec.CommandContext(ctx, program, "attach", name, image, "-", "pkcs11-uri=auto,headless=true")
	attach.Env = append(attach.Environ(), "PIN="+userPIN, "SYSTEMD_CRYPTSETUP_USE_TOKEN_MODULE=0", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
	log, err := attach.CombinedOutput()
	if err == nil {
		run(t, "systemd-cryptsetup", "detach", name)
	}
	for _, want := range []string{"Successfully decrypted key with security token", "[keyslot 1] using passphrase"} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("systemd-cryptsetup: %v: it does not say %q:\n%s", err, want, log)
		}
	}
}

// TestPrivateKeyDecides: openssl, with the private key, has the same secret out of our
// tokens as the token has: each padding, each curve, certificate and public key object.
func TestPrivateKeyDecides(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm, option string
		certificate       bool
	}{
		"RSA certificate": {"RSA", "rsa_keygen_bits:2048", true}, "RSA public key": {"RSA", "rsa_keygen_bits:3072", false},
		"P-256": {"EC", "ec_paramgen_curve:P-256", true}, "P-384": {"EC", "ec_paramgen_curve:P-384", false}, "P-521": {"EC", "ec_paramgen_curve:P-521", true},
	} {
		t.Run(name, func(t *testing.T) {
			private := softToken(t, c.algorithm, c.option, c.certificate)
			asked := 0
			s := withPIN(userPIN, &asked)
			sealed, err := s.Seal(t.Context(), onToken())
			if err != nil {
				t.Fatal(err)
			}
			again, err := s.Unseal(t.Context(), onToken(), sealed.Token)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Bytes(), sealed.Passphrase.Bytes()) {
				t.Error("the token gives another passphrase")
			}
			if got := opensslUnwraps(t, private, sealed.Token); !bytes.Equal(got, sealed.Passphrase.Bytes()) {
				t.Errorf("openssl has another passphrase")
			}
		})
	}
}

// opensslUnwraps returns the passphrase that a private key gets out of a token.
func opensslUnwraps(t *testing.T, private string, raw []byte) []byte {
	t.Helper()
	parsed, _, err := parseToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	content := parsed.Key
	arguments := []string{"pkeyutl", "-inkey", private, "-out", out, "-decrypt", "-in", in}
	if content[0] == 4 && len(content) < 200 {
		content, arguments = spki(t, content), []string{"pkeyutl", "-inkey", private, "-out", out, "-derive", "-peerform", "DER", "-peerkey", in}
	}
	if err := os.WriteFile(in, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "openssl", arguments...)
	plain, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(plain))
}

// TestOAEP: what newer versions of systemd write. (SoftHSM of Debian 12 knows no OAEP
// with SHA-256.)
func TestOAEP(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	where, err := parsePlace(tokenUR)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCard(where, terms{}, []string{softhsm})
	if err != nil {
		t.Fatal(err)
	}
	public, err := c.public()
	c.close()
	if err != nil {
		t.Fatal(err)
	}
	w, err := wrapRSA(rsaOf(public), paddingOAEPSHA1)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(token{Type: tokenType, URI: tokenUR, Key: w.key, Padding: w.padding})
	if err != nil || !bytes.Contains(raw, []byte(`"pkcs11-padding":"oaep-sha1"`)) {
		t.Fatalf("%s, %v", raw, err)
	}
	asked := 0
	want, err := w.secret.Base64()
	if err != nil {
		t.Fatal(err)
	}
	got, err := withPIN(userPIN, &asked).Unseal(t.Context(), onToken(), raw)
	if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%v", err)
	}
}

// TestWrongPIN: it is tried once, and is not in the error.
func TestWrongPIN(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	asked := 0
	s := withPIN("987654", &asked)
	sealed, err := s.Seal(t.Context(), onToken())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err = s.Unseal(t.Context(), onToken(), sealed.Token)
		if !errors.Is(err, ErrPIN) || strings.Contains(err.Error(), "987654") || !strings.Contains(err.Error(), tokenUR) {
			t.Errorf("%v", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestBrokenModule: one that cannot be loaded does not hide the token of another.
func TestBrokenModule(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	where, err := parsePlace(tokenUR)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCard(where, terms{}, []string{"/nonexistent.so", softhsm})
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	// A configuration that is not there keeps SoftHSM from starting.
	t.Setenv("SOFTHSM2_CONF", "/nonexistent")
	if _, err := openCard(where, terms{}, []string{softhsm}); !errors.Is(err, ErrModule) || errors.Is(err, key.ErrAbsent) || !strings.Contains(err.Error(), "does not start") {
		t.Errorf("%v", err)
	}
}

// TestNotThere: each thing that is missing is told by name, with the URI and what to do.
func TestNotThere(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", true)
	run(t, "softhsm2-util", "--init-token", "--free", "--label", "twin", "--pin", "1111", "--so-pin", "5678")
	run(t, "softhsm2-util", "--init-token", "--free", "--label", "twin", "--pin", "1111", "--so-pin", "5678")
	for _, c := range []struct {
		uri, module string
		want        error
	}{
		{tokenUR, "/nonexistent.so", ErrNoModule}, {tokenUR, "nonexistent", ErrNoModule},
		{"pkcs11:token=other", softhsm, ErrNoToken}, {"pkcs11:token=luks;serial=0", "softhsm2", ErrNoToken},
		{"pkcs11:token=twin", softhsm, ErrSeveral}, {"pkcs11:token=luks;object=other", softhsm, ErrNoObject},
		{"pkcs11:token=luks;id=%02", softhsm, ErrNoObject},
	} {
		asked := 0
		_, err := withPIN(userPIN, &asked).Seal(t.Context(), definitions.Key{URI: c.uri, Module: c.module})
		var told *Error
		if !errors.Is(err, c.want) || !errors.As(err, &told) || told.Hint() == "" || !strings.Contains(err.Error(), c.uri) {
			t.Errorf("%s in %s: %v, not %v", c.uri, c.module, err, c.want)
		}
	}
}
