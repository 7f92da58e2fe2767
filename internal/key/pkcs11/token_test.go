package pkcs11

import (
	"crypto/ecdh"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
)

const whole = `{"type":"systemd-pkcs11","keyslots":["1"],"pkcs11-uri":"pkcs11:token=t;type=cert","pkcs11-key":"AAAA"}`

// spki is a point of a curve as openssl takes it.
func spki(t *testing.T, point []byte) []byte {
	t.Helper()
	for _, c := range curves {
		if key, err := c.curve.NewPublicKey(point); err == nil {
			der, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				t.Fatal(err)
			}
			return der
		}
	}
	t.Fatal("no point of a known curve")
	return nil
}

func rsaOf(public any) *rsa.PublicKey { return public.(*rsa.PublicKey) }

// TestHostileTokens: what another may have written is refused, and no PIN is shown.
func TestHostileTokens(t *testing.T) {
	if _, where, err := parseToken([]byte(whole)); err != nil || where.uri != "pkcs11:token=t;type=private" {
		t.Fatalf("%+v, %v", where, err)
	}
	for old, fresh := range map[string]string{
		`systemd-pkcs11`: `systemd-tpm2`, `"AAAA"`: `""`, `"pkcs11-key":"AAAA"`: `"x":1`, `AAAA`: `not base64!`,
		`pkcs11:token=t`: `http:token=t`, `token=t`: `pin-value=7391`, `token`: `unknown`,
		`"keyslots"`: `"pkcs11-padding":"oaep-md5","keyslots"`, `=t`: `=%zz`, `{"type"`: `["type"`,
		`token=t;`: strings.Repeat(`token=t;`, 1000),
	} {
		raw := strings.Replace(whole, old, fresh, 1)
		if _, _, err := parseToken([]byte(raw)); err == nil || strings.Contains(err.Error(), "7391") {
			t.Errorf("%.100s: %v", raw, err)
		}
	}
	if parsed, _, err := parseToken([]byte(strings.Replace(whole, `=cert`, `=cert?pin-value=7391&module-path=/tmp/evil.so`, 1))); err != nil || strings.Contains(parsed.URI, "?") {
		t.Errorf("%q, %v", parsed.URI, err)
	}
}

// TestTries: a PIN from a file is never the one that locks the token.
func TestTries(t *testing.T) {
	p := place{uri: "pkcs11:token=t"}
	for _, c := range []struct {
		tries tries
		typed bool
		want  error
	}{
		{tries{}, false, nil}, {tries{fewer: true}, false, nil}, {tries{last: true}, false, ErrLastTry},
		{tries{last: true}, true, nil}, {tries{locked: true}, true, ErrLocked}, {tries{locked: true, last: true}, false, ErrLocked},
	} {
		if err := c.tries.allow(p, c.typed); !errors.Is(err, c.want) {
			t.Errorf("%+v, typed %v: %v", c.tries, c.typed, err)
		}
	}
}

// TestConfig: the trust module of p11-kit has no keys.
func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"# c\nmodule: /a.so\n": "/a.so", "module:/a.so\ntrust-policy: yes": "", "": "", "module": "", "priority: 1\n module : b.so ": "b.so",
	} {
		if got, err := parseConfig(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := parseConfig(strings.NewReader(strings.Repeat("x", maxConfig*2))); err == nil || !strings.Contains(err.Error(), "token too long") {
		t.Errorf("a line without end: %v", err)
	}
}

// TestUnbuilt: without cgo such keys are refused by name.
func TestUnbuilt(t *testing.T) {
	if Built {
		return // interop_test.go
	}
	s := NewSealer(nil, "", nil)
	_, sealing := s.Seal(t.Context(), definitions.Key{URI: "pkcs11:token=t"})
	_, unsealing := s.Unseal(t.Context(), definitions.Key{}, []byte(whole))
	if !errors.Is(sealing, ErrNotBuilt) || !errors.Is(unsealing, ErrNotBuilt) {
		t.Error(sealing, unsealing)
	}
}

func FuzzToken(f *testing.F) {
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parsed, where, err := parseToken(raw)
		if err == nil && (strings.Contains(where.uri, "?") || len(parsed.Key) == 0) {
			t.Errorf("%+v", parsed)
		}
	})
}

// FuzzPublic: what a module says a public key is.
func FuzzPublic(f *testing.F) {
	f.Add([]byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, append([]byte{4, 65, 4}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, _ = fromCertificate(a)
		_, _ = sharedSize(a)
		if key, err := fromRSA(a, b); err == nil {
			w, err := wrapRSA(key.(*rsa.PublicKey), paddingOAEPSHA256)
			if err == nil {
				w.secret.Wipe()
			}
		}
		if key, err := fromEC(a, b); err == nil {
			w, err := wrapEC(key.(*ecdh.PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			w.secret.Wipe()
		}
	})
}
