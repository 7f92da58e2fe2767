package tpm2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// unsealByTools has tpm2-tools unseal what lies under the persistent key.
func unsealByTools(t *testing.T, device string, object sealedObject, policy ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	blob := object.marshal()
	private := blob[:2+len(object.private)]
	err := errors.Join(os.WriteFile(dir+"/private", private, 0o600), os.WriteFile(dir+"/public", blob[len(private):], 0o600))
	if err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_load", "-Q", "-C", "0x81000001", "-r", dir+"/private", "-u", dir+"/public", "-c", dir+"/object")
	run(t, device, "tpm2_startauthsession", "--policy-session", "-S", dir+"/session")
	for _, step := range policy {
		words := strings.Fields(step)
		run(t, device, words[0], slices.Concat([]string{"-Q", "-S", dir + "/session"}, words[1:])...)
	}
	secret := run(t, device, "tpm2_unseal", "-Q", "-c", dir+"/object", "-p", "session:"+dir+"/session")
	run(t, device, "tpm2_flushcontext", dir+"/session")
	run(t, device, "tpm2_flushcontext", "-t")
	return secret
}

// The newest form lies under the storage root key: tpm2-tools know it for theirs, and
// unseal what is under it.
func TestNewestForm(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, secret := open(t, device), newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}, Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	serialised := t.TempDir() + "/srk"
	said := run(t, device, "tpm2_readpublic", "-c", "0x81000001", "-t", serialised)
	if want := "raw: 0x30472"; !bytes.Contains(said, []byte(want)) {
		t.Errorf("tpm2_readpublic does not say %q:\n%s", want, said)
	}
	if theirs, err := os.ReadFile(serialised); err != nil || !bytes.Equal(theirs, tok.SRK) {
		t.Errorf("tpm2_srk: tpm2-tools say %x, we %x: %v", theirs, tok.SRK, err)
	}
	objects, err := tok.objects()
	if err != nil {
		t.Fatal(err)
	}
	if got := unsealByTools(t, device, objects[0], "tpm2_policypcr -l sha256:7"); !bytes.Equal(got, secret) {
		t.Error("tpm2-tools unseal another secret")
	}
	raw, err := json.Marshal(tok)
	if err != nil || bytes.Contains(raw, []byte("tpm2-pin")) || !bytes.Contains(raw, []byte(`"tpm2-primary-alg":"ecc"`)) {
		t.Errorf("%s, %v", raw, err)
	}
	again, err := tpm.Seal(secret, Binding{Newest: true, AllowBlank: true, SRK: defaultSRK})
	if err != nil || !bytes.Equal(again.SRK, tok.SRK) {
		t.Errorf("under the key that is there: %v", err)
	}
	if _, err := tpm.Seal(secret, Binding{Newest: true, AllowBlank: true, SRK: 0x81000009}); err == nil || !strings.Contains(err.Error(), "0x81000009") {
		t.Errorf("under a key that is not there: %v", err)
	}
}

// In a lockout nothing opens under the key of the widest form; under the storage root key
// what has no PIN still does.
func TestNewestFormInLockout(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, secret := open(t, device), newSecret(t)
	widest, err1 := tpm.Seal(secret, Binding{AllowBlank: true})
	newest, err2 := tpm.Seal(secret, Binding{Newest: true, AllowBlank: true})
	withPIN, err3 := tpm.Seal(secret, Binding{Newest: true, PIN: []byte("1234")})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", "--recovery-time=1000", "--lockout-recovery-time=1000")
	if _, err := tpm.Unseal(withPIN, []byte("4321")); !errors.Is(err, ErrPIN) && !errors.Is(err, ErrLockout) {
		t.Fatal(err)
	}
	if _, err := tpm.Unseal(widest, nil); !errors.Is(err, ErrLockout) {
		t.Errorf("widest: %v", err)
	}
	if got, err := tpm.Unseal(newest, nil); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("newest: %v", err)
	}
}

// A hardened PIN: the argon2 and openssl programs judge both halves.
func TestHardenedPIN(t *testing.T) {
	const salt = "0123456789abcdef0123456789abcdef"
	tok := Token{PIN: true, Salt: []byte(salt), Hardening: Hardening{Memory: 8 << 20, Iterations: 3, Lanes: 4}}
	key, err := tok.pinKey(t.Context(), []byte("1234"))
	if err != nil {
		t.Fatal(err)
	}
	derived := strings.TrimSpace(string(run(t, "", "sh", "-ec", "printf 1234 | argon2 "+salt+" -id -t 3 -k 8192 -p 4 -l 64 -r")))
	if got := hex.EncodeToString(key.mix); got != derived[:64] {
		t.Errorf("the first half is %s, argon2 says %s", got, derived[:64])
	}
	auth := run(t, "", "sh", "-ec", `pin=$(printf `+derived[64:]+` | xxd -r -p | base64 -w0)
		openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt "pass:$pin" -kdfopt hexsalt:`+hex.EncodeToString([]byte(salt))+` -kdfopt iter:10000 -binary PBKDF2 |
		base64 -w0 | openssl dgst -sha256 -r | cut -d' ' -f1`)
	if got := hex.EncodeToString(key.auth); got != strings.TrimRight(strings.TrimSpace(string(auth)), "0") && got != strings.TrimSpace(string(auth)) {
		t.Errorf("the authorization is %s, openssl says %s", got, auth)
	}
	plain := bytes.Repeat([]byte{0xa5}, 32)
	final := key.finish(plain)
	want := run(t, "", "openssl", "kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", "hexkey:"+derived[:64],
		"-kdfopt", "hexsalt:"+hex.EncodeToString(plain), "-kdfopt", "info:systemd-tpm2-argon2id-lock", "-binary", "HKDF")
	if !bytes.Equal(final, want) {
		t.Errorf("the secret is %x, openssl says %x", final, want)
	}
}

// The whole road of a hardened PIN, and what it costs to be wrong.
func TestNewestPIN(t *testing.T) {
	tpm, plain := open(t, testenv.StartSWTPM(t)), newSecret(t)
	tok, err := tpm.Seal(plain, Binding{PCRs: []int{7}, PIN: []byte("1234"), Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	passphrase, err := tok.passphrase(t.Context(), plain, []byte("1234"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tpm.Unseal(tok, []byte("1234"))
	if err != nil || !bytes.Equal(Passphrase(got), passphrase.Bytes()) || bytes.Equal(got, plain) {
		t.Errorf("unsealed another secret: %v", err)
	}
	if _, err := tpm.Unseal(tok, []byte("4321")); !errors.Is(err, ErrPIN) {
		t.Error(err)
	}
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrNoPIN) {
		t.Error(err)
	}
}

// Values that PCRs are to have: the policy is that of tpm2-tools for them, and holds when
// they come.
func TestGivenValues(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, secret, dir := open(t, device), newSecret(t), t.TempDir()
	extended := bytes.Fields(run(t, device, "sh", "-ec", `{ head -c 32 /dev/zero; printf `+strings.Repeat("ab", 32)+` | xxd -r -p; } | sha256sum`))[0]
	value, err := hex.DecodeString(string(extended))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7, 16}, Values: map[int][]byte{16: value}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/values", append(valueOf(t, tpm, 7), value...), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_createpolicy", "-Q", "--policy-pcr", "-l", "sha256:7,16", "-f", dir+"/values", "-L", dir+"/policy")
	if theirs, err := os.ReadFile(dir + "/policy"); err != nil || !bytes.Equal(theirs, tok.PolicyHashes[0]) {
		t.Errorf("policy: tpm2-tools say %x, we %x: %v", theirs, tok.PolicyHashes[0], err)
	}
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "PCR 16") {
		t.Errorf("before: %v", err)
	}
	extend(t, device, "16")
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after: %v", err)
	}
}

// deviceKey makes the storage root key of a TPM and returns its public half.
func deviceKey(t *testing.T, device string) []byte {
	t.Helper()
	dir := t.TempDir()
	sealUnderSRK(t, device, dir, newSecret(t))
	run(t, device, "tpm2_readpublic", "-Q", "-c", "0x81000001", "-o", dir+"/device")
	public, err := os.ReadFile(dir + "/device")
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// What is sealed without the TPM opens on that TPM, by our hand and by tpm2-tools, and on
// no other.
func TestSealOffline(t *testing.T) {
	device, secret := testenv.StartSWTPM(t), newSecret(t)
	public := deviceKey(t, device)
	tpm := open(t, device)
	tok, err := SealOffline(t.Context(), secret, Binding{PCRs: []int{7}, Values: map[int][]byte{7: valueOf(t, tpm, 7)}}, public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("on its TPM: %v", err)
	}
	objects, err := tok.objects()
	if err != nil {
		t.Fatal(err)
	}
	if got := unsealByTools(t, device, importByTools(t, device, objects[0]), "tpm2_policypcr -l sha256:7"); !bytes.Equal(got, secret) {
		t.Error("tpm2-tools unseal another secret")
	}
	run(t, device, "tpm2_evictcontrol", "-Q", "-C", "o", "-c", "0x81000001")
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("on its TPM, whose key is not persistent yet: %v", err)
	}
	extend(t, device, "7")
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
		t.Errorf("with another PCR 7: %v", err)
	}
	other := testenv.StartSWTPM(t)
	if _, err := open(t, other).Unseal(tok, nil); !errors.Is(err, ErrForeignTPM) {
		t.Errorf("on another TPM: %v", err)
	}
	deviceKey(t, other)
	if _, err := open(t, other).Unseal(tok, nil); !errors.Is(err, ErrForeignTPM) {
		t.Errorf("on another TPM with a storage root key: %v", err)
	}
}

// importByTools has tpm2-tools take in an object.
func importByTools(t *testing.T, device string, object sealedObject) sealedObject {
	t.Helper()
	dir := t.TempDir()
	blob := object.marshal()
	private, rest := blob[:2+len(object.private)], blob[2+len(object.private):]
	public, seed := rest[:2+len(object.public)], rest[2+len(object.public):]
	err := errors.Join(os.WriteFile(dir+"/private", private, 0o600), os.WriteFile(dir+"/public", public, 0o600), os.WriteFile(dir+"/seed", seed, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_import", "-Q", "-C", "0x81000001", "-u", dir+"/public", "-i", dir+"/private", "-s", dir+"/seed", "-r", dir+"/imported")
	run(t, device, "tpm2_flushcontext", "-t")
	imported, err := os.ReadFile(dir + "/imported")
	if err != nil {
		t.Fatal(err)
	}
	return sealedObject{private: imported[2:], public: object.public}
}

// With a PIN and a signed policy as well.
func TestSealOfflineWithAllTerms(t *testing.T) {
	device, v, secret := testenv.StartSWTPM(t), newVendor(t), newSecret(t)
	boot(t, device)
	tok, err := SealOffline(t.Context(), secret, Binding{PublicKey: v.pem(t), PublicKeyPCRs: []int{11}, PIN: []byte("1234")}, deviceKey(t, device))
	if err != nil {
		t.Fatal(err)
	}
	tpm := open(t, device)
	tpm.Search.Signatures = v.sign(t, device, "enter-initrd")
	if got, err := tpm.Unseal(tok, []byte("1234")); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
	if _, err := tpm.Unseal(tok, []byte("4321")); !errors.Is(err, ErrPIN) {
		t.Error(err)
	}
}

func TestSealOfflineRefuses(t *testing.T) {
	device := testenv.StartSWTPM(t)
	public := deviceKey(t, device)
	for name, c := range map[string]struct {
		b    Binding
		key  []byte
		want string
	}{
		"a PCR without value": {Binding{PCRs: []int{7}}, public, "PCR 7 has no value"},
		"pcrlock":             {Binding{PCRLock: Auto}, public, "pcrlock"},
		"nothing":             {Binding{AllowBlank: true}, nil, "no TPM2B_PUBLIC"},
		"cut off":             {Binding{AllowBlank: true}, public[:40], "no TPM2B_PUBLIC"},
		"no public area":      {Binding{AllowBlank: true}, []byte{0, 2, 0, 1}, "device key"},
	} {
		if _, err := SealOffline(t.Context(), make([]byte, 32), c.b, c.key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
