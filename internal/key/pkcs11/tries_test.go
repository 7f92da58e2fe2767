//go:build cgo

package pkcs11

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
)

// spyOn returns the module that lies between us and SoftHSM, and what counts how often a
// function of it was called (OpenSC's pkcs11-spy).
func spyOn(t *testing.T) (module string, count func(call string) int) {
	t.Helper()
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"} {
		if _, err := os.Stat(filepath.Join(dir, "pkcs11-spy.so")); err == nil {
			module = filepath.Join(dir, "pkcs11-spy.so")
		}
	}
	if module == "" {
		testenv.Need(t, "pkcs11-spy.so") // of opensc
	}
	log := filepath.Join(t.TempDir(), "calls")
	t.Setenv("PKCS11SPY", softhsm)
	t.Setenv("PKCS11SPY_OUTPUT", log)
	return module, func(call string) int {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte(": "+call+"\n"))
	}
}

// TestOnePINOneTry: two URIs of the definitions mean one token. A wrong PIN that was given
// once is one try of the token's, whatever asks for it again.
func TestOnePINOneTry(t *testing.T) {
	softToken(t, "RSA", "rsa_keygen_bits:2048", false)
	module, count := spyOn(t)
	asked := 0
	sealed, err := withPIN(userPIN, &asked).Seal(t.Context(), onToken())
	if err != nil {
		t.Fatal(err)
	}
	var tokens [][]byte
	for _, uri := range []string{"pkcs11:token=luks;object=luks1", "pkcs11:token=luks;id=%01"} {
		tokens = append(tokens, bytes.Replace(sealed.Token, []byte(tokenUR), []byte(uri), 1))
	}
	asked = 0
	wrong := withPIN("4321", &asked)
	before := count("C_Login")
	for i, want := range []string{"CKR_PIN_INCORRECT", "it was refused before", "it was refused before"} {
		_, err := wrong.Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11, Module: module}, tokens[i%2])
		if !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), want) {
			t.Errorf("try %d: %v, not %q", i, err, want)
		}
	}
	if tries := count("C_Login") - before; tries != 1 || asked != 1 {
		t.Errorf("%d tries of the token, asked %d times", tries, asked)
	}
	if _, err := withPIN(userPIN, &asked).Unseal(t.Context(), definitions.Key{Type: definitions.KeyPKCS11, Module: module}, tokens[1]); err != nil {
		t.Errorf("the right PIN: %v", err)
	}
}
