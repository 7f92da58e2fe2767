package tpm2

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blob64 is a blob of sizes 1 and 1, in base64: 0001 aa 0001 bb.
const blob64 = "AAGqAAG7"

// member is what makes a valid token; tests replace one at a time.
func members() map[string]string {
	return map[string]string{
		"type": `"systemd-tpm2"`, "keyslots": `["1"]`, "tpm2-blob": `"` + blob64 + `"`,
		"tpm2-pcrs": `[7]`, "tpm2-policy-hash": `"00ff"`,
	}
}

func tokenText(m map[string]string) []byte {
	var parts []string
	for name, value := range m {
		parts = append(parts, fmt.Sprintf("%q:%s", name, value))
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func TestParseTokenRefuses(t *testing.T) {
	srk := base64.StdEncoding.EncodeToString(make([]byte, 60))
	for _, c := range []struct{ name, value, want string }{
		{"type", `"systemd-fido2"`, "systemd-fido2"},
		{"type", "", "type is missing"},
		{"keyslots", "", "keyslots is missing"},
		{"keyslots", `[1]`, "keyslots"},
		{"keyslots", `["32"]`, "keyslot 32"},
		{"keyslots", `["-1"]`, "keyslot -1"},
		{"keyslots", `["+1"]`, `"+1" is not a number`},
		{"tpm2-blob", "", "tpm2-blob is missing"},
		{"tpm2-blob", "null", "null"},
		{"tpm2-blob", `"AAGqAAG"`, "base64"},
		{"tpm2-blob", `"AAGqAA=="`, "cut off"},
		{"tpm2-blob", `"AAGqAAH/"`, ""},
		{"tpm2-blob", `"AP+qAAG7"`, "cut off"},
		{"tpm2-blob", `"AAGqAAG7AA=="`, "cut off"},
		{"tpm2-blob", `"AAGqAAG7AAG7uw=="`, "too many"},
		{"tpm2-blob", `""`, "cut off"},
		{"tpm2-blob", `["` + blob64 + `","` + blob64 + `"]`, "2 blobs and 1 policy hashes"},
		{"tpm2-blob", `[]`, "0 blobs"},
		{"tpm2-pcrs", "", "tpm2-pcrs is missing"},
		{"tpm2-pcrs", `[24]`, "PCR 24"},
		{"tpm2-pcrs", `[-1]`, "PCR -1"},
		{"tpm2-pcrs", `[7.5]`, "tpm2-pcrs"},
		{"tpm2-pcrs", `7`, "tpm2-pcrs"},
		{"tpm2-pcrs", `null`, "null"},
		{"tpm2-pcrs", `[99999999999999999999]`, "tpm2-pcrs"},
		{"tpm2-policy-hash", "", "tpm2-policy-hash is missing"},
		{"tpm2-policy-hash", `"0g"`, "tpm2-policy-hash"},
		{"tpm2-pcr-bank", `"md5"`, "md5"},
		{"tpm2-primary-alg", `"dsa"`, "dsa"},
		{"tpm2-pin", `"no"`, "tpm2-pin"},
		{"tpm2_srk", `"` + srk + `"`, "tpm2_srk"},
		{"tpm2_srk", `"AAAA"`, "cut off"},
		{"tpm2_pubkey_pcrs", `[11,99]`, "PCR 99"},
		{"tpm2_pubkey_pcrs", `[11]`, "without tpm2_pubkey"},
		{"tpm2_argon2id_memcost", `67108864`, "0 iterations and 0 lanes"},
		{"tpm2_argon2id_memcost", `-1`, "tpm2_argon2id_memcost"},
		{"tpm2_argon2id_lanes", `4`, "0 bytes"},
		{"padding", `"` + strings.Repeat("x", maxToken) + `"`, "at most 65536"},
	} {
		m := members()
		if m[c.name] = c.value; c.value == "" {
			delete(m, c.name)
		}
		_, err := ParseToken(tokenText(m))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %.60s: %v", c.name, c.value, err)
		}
	}
	for raw, want := range map[string]string{
		"": "unexpected end of JSON input", "{": "unexpected end of JSON input", `{"type":"systemd-tpm2"`: "unexpected end of JSON input",
		"null": "type is missing", "[]": "cannot unmarshal array", "7": "cannot unmarshal number",
	} {
		if _, err := ParseToken([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", raw, err, want)
		}
	}
}

// Names of members are exact: encoding/json would take any case.
func TestParseTokenIsExact(t *testing.T) {
	m := members()
	m["TPM2-PIN"] = "true"
	tok, err := ParseToken(tokenText(m))
	if err != nil || tok.PIN || tok.Extra["TPM2-PIN"] == nil {
		t.Errorf("%+v, %v", tok, err)
	}
}

// Every field of Token survives; a new field without its line in MarshalJSON or in
// parseToken fails here.
func TestTokenRoundTrip(t *testing.T) {
	blob := []byte{0, 1, 0xaa, 0, 1, 0xbb}
	k := persistentKeyBytes(t)
	full := Token{
		Keyslots: []int{3}, Blobs: [][]byte{blob, append(blob, 0, 1, 0xcc)}, PolicyHashes: [][]byte{{1}, {2}},
		PCRs: []int{0, 7}, Bank: "sha384", PrimaryAlg: "rsa", PIN: true, Salt: []byte{1, 2}, SRK: k,
		PublicKey: []byte("PEM"), PublicKeyPCRs: []int{11}, PCRLock: true, PCRLockNV: []byte{3},
		PublicKeyRef: "system", Hardening: Hardening{Memory: 1 << 20, Iterations: 1, Lanes: 4},
		Extra: map[string]json.RawMessage{"tpm2_new": json.RawMessage(`{"a":[1]}`)},
	}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	raw, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseToken(raw)
	if diff := cmp.Diff(full, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := json.Marshal(Token{PCRs: []int{77}}); err == nil || !strings.Contains(err.Error(), "PCR 77 is not one of 0 to 23") {
		t.Errorf("a token that cannot be read was written: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	if got := string(Passphrase([]byte{0xfb, 0xff, 0xfe, 0})); got != "+//+AA==" {
		t.Error(got)
	}
}

// persistentKeyBytes serialises a key as ESYS does.
func persistentKeyBytes(t *testing.T) []byte {
	t.Helper()
	// SHA-256 of the one byte 0x00, which is the "public area".
	const name = "\x00\x0b\x6e\x34\x0b\x9c\xff\xb3\x7a\x98\x9c\xa5\x44\xe6\xbb\x78\x0a\x2c\x78\x90\x1d\x3f\xb3\x37\x38\x76\x85\x11\xa3\x06\x17\xaf\xa0\x1d"
	raw := []byte("\x81\x00\x00\x01\x00\x22" + name + "\x00\x00\x00\x01\x00\x01\x00")
	if _, err := parsePersistentKey(raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParsePersistentKeyRefuses(t *testing.T) {
	good := persistentKeyBytes(t)
	for i := range good {
		if _, err := parsePersistentKey(good[:i]); err == nil || !strings.Contains(err.Error(), "is cut off or has bytes too many") {
			t.Errorf("%d of %d bytes: no error: %v", i, len(good), err)
		}
	}
	const kind, name = "is not a persistent key", "its name is not the SHA-256 name of its public area"
	for at, want := range map[int]string{0: kind, 7: name, 20: name, 43: kind, 46: name} { // handle, name algorithm, name, resource, public area
		bad := append([]byte{}, good...)
		bad[at] ^= 0x40
		if _, err := parsePersistentKey(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("byte %d changed: no error: %v", at, err)
		}
	}
}

// A token that was parsed can be written, and comes back as the same; one that can
// be unsealed is asked for only in shapes that are known.
func FuzzParseToken(f *testing.F) {
	f.Add(tokenText(members()))
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":["1"],"tpm2-blob":["AAGqAAG7","AAGqAAG7AAHM"],"tpm2-pcrs":[],"tpm2-pcr-bank":"sha256","tpm2-primary-alg":"ecc","tpm2-policy-hash":["00","11"],"tpm2-pin":true,"tpm2_salt":"AA==","tpm2_pcrlock":true,"x":null}`))
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":[],"tpm2-blob":"AAGqAAoACAALAAAAAAAA","tpm2-pcrs":[7,7],"tpm2-policy-hash":"","tpm2_srk":"gQAAAQAA"}`))
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":["1"],"tpm2-blob":"AAGqAAG7","tpm2-pcrs":[],"tpm2-policy-hash":"","tpm2-pin":true,"tpm2_salt":"","tpm2_argon2id_memcost":1}`))
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":["1"],"tpm2-blob":"AAGqAAG7","tpm2-pcrs":[7],"tpm2-policy-hash":"","sealpart_pcr_values":{"7":"00","-1":"","24":"0"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tok, err := ParseToken(raw)
		if err != nil {
			return
		}
		_, _ = tok.objects()
		_ = tok.notedValues(terms{bank: banks[0], pcrs: tok.PCRs}, tok.PolicyHashes[0])
		_, _ = newSigner(tok.PublicKey, tok.PublicKeyPCRs, tok.PublicKeyRef)
		if tok.Hardening == (Hardening{}) {
			_, _ = tok.pinKey(t.Context(), []byte("1234"))
		}
		written, err := json.Marshal(tok)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseToken(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(written) {
			t.Fatalf("%s became %s: %v", written, twice, err)
		}
	})
}

// A token that contradicts itself is refused before a TPM is asked.
func TestObjectsRefuses(t *testing.T) {
	public := []byte{0, 8, 0, 11, 0, 0, 0, 0x12, 0, 1, 0x55, 0, 16, 0, 0} // KEYEDHASH, SHA-256, policy 55
	blob := sealedObject{private: []byte{1}, public: public}.marshal()
	plain := Token{Blobs: [][]byte{blob}, PolicyHashes: [][]byte{{0x55}}}
	if _, err := plain.objects(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Token)
		want   string
		is     error
	}{
		"no policy": {func(tok *Token) { tok.PolicyHashes = [][]byte{{0x56}} }, "not the policy", nil},
		"key": {func(tok *Token) {
			tok.Blobs = [][]byte{{0, 1, 1, 0, 10, 0, 35, 0, 11, 0, 0, 0, 0, 0, 0}}
		}, "type 0x23", ErrUnsupported},
		"cut off": {func(tok *Token) { tok.Blobs = [][]byte{{0, 1, 1, 0, 2, 0, 8}} }, "cut off", nil},
	} {
		tok := plain
		c.change(&tok)
		_, err := tok.objects()
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
