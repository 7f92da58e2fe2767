package tpm2

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// TestSignerFingerprint: OpenSSL's PKCS#1 form of a key gives the same.
func TestSignerFingerprint(t *testing.T) {
	openssl := testenv.Need(t, "openssl")
	private, public := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "public")
	for _, args := range [][]string{
		{"genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private}, {"pkey", "-in", private, "-pubout", "-out", public},
	} {
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	der, err := exec.Command(openssl, "rsa", "-pubin", "-in", public, "-RSAPublicKey_out", "-outform", "DER").Output()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(der)
	if got, err := (Token{PublicKey: pem}).SignerFingerprint(); err != nil || got != hex.EncodeToString(want[:]) {
		t.Errorf("%s, %v; want %x", got, err, want)
	}
	for want, bad := range map[string][]byte{
		`is not PEM text with a "PUBLIC KEY"`: []byte("no key"), "asn1: ": bytes.Replace(pem, []byte("MII"), []byte("MIJ"), 1),
	} {
		if got, err := (Token{PublicKey: bad}).SignerFingerprint(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q has the fingerprint %s: %v", bad, got, err)
		}
	}
}
