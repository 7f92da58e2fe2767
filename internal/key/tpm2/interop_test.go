package tpm2

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpart/sealpart/internal/testenv"
)

// volume makes a LUKS2 volume in a file, with one keyslot for the key file.
func volume(t *testing.T) (image, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	image, keyFile = filepath.Join(dir, "vol.img"), filepath.Join(dir, "key")
	if err := errors.Join(os.WriteFile(keyFile, []byte("first key"), 0o600), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	run(t, "", "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", keyFile, image)
	return image, keyFile
}

func tokenOf(t *testing.T, image string) []byte {
	t.Helper()
	return run(t, "", "cryptsetup", "token", "export", "--token-id", "0", image)
}

// opens has cryptsetup judge a passphrase.
func opens(t *testing.T, image string, passphrase []byte) bool {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, "cryptsetup"), "open", "--test-passphrase", "--key-file", "-", image)
	cmd.Stdin = bytes.NewReader(passphrase)
	return cmd.Run() == nil
}

func TestUnsealWhatSystemdEnrolled(t *testing.T) {
	for name, pcrs := range map[string]string{"one PCR": "7", "three PCRs": "0+7+11", "no PCRs": ""} {
		t.Run(name, func(t *testing.T) {
			device := testenv.StartSWTPM(t) // each its own: systemd 252 leaves its sessions behind
			image, keyFile := volume(t)
			run(t, device, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--tpm2-device="+device, "--tpm2-pcrs="+pcrs, image)
			tok, err := ParseToken(tokenOf(t, image))
			if err != nil {
				t.Fatal(err)
			}
			tpm := open(t, device)
			secret, err := tpm.Unseal(tok, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !opens(t, image, Passphrase(secret)) {
				t.Error("cryptsetup does not take the passphrase")
			}
			if ours, err := tpm.currentPolicy(terms{bank: banks[0], pcrs: tok.PCRs}); err != nil || !bytes.Equal(ours, tok.PolicyHashes[0]) {
				t.Errorf("policy: systemd's is %x, ours %x: %v", tok.PolicyHashes[0], ours, err)
			}
		})
	}
}

// A token of before 250 names neither bank nor kind of storage key.
func TestUnsealTokenOfOldSystemd(t *testing.T) {
	device := testenv.StartSWTPM(t)
	image, keyFile := volume(t)
	run(t, device, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--tpm2-device="+device, "--tpm2-pcrs=7", image)
	var members map[string]any
	if err := json.Unmarshal(tokenOf(t, image), &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "tpm2-pcr-bank")
	delete(members, "tpm2-primary-alg")
	delete(members, "tpm2-pin")
	raw, _ := json.Marshal(members)
	tok, err := ParseToken(raw)
	if err != nil || tok.Bank != "" || tok.PrimaryAlg != "" {
		t.Fatalf("%+v, %v", tok, err)
	}
	if secret, err := open(t, device).Unseal(tok, nil); err != nil || !opens(t, image, Passphrase(secret)) {
		t.Error(err)
	}
}

// Each field that systemd 252 wrote must come out again as it was.
func TestTokenOfSystemdRoundTrips(t *testing.T) {
	device := testenv.StartSWTPM(t)
	image, keyFile := volume(t)
	run(t, device, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--tpm2-device="+device, "--tpm2-pcrs=0+7", image)
	raw := tokenOf(t, image)
	tok, err := ParseToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours map[string]any
	if err := errors.Join(json.Unmarshal(raw, &theirs), json.Unmarshal(again, &ours)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Error(diff)
	}
}

// tpm2-tools walk our policy by hand.
func TestToolsUnsealOurs(t *testing.T) {
	device, dir := testenv.StartSWTPM(t), t.TempDir()
	secret := newSecret(t)
	tok, err := open(t, device).Seal(secret, Binding{PCRs: []int{7, 0}})
	if err != nil {
		t.Fatal(err)
	}
	split := 2 + int(tok.Blobs[0][0])<<8 + int(tok.Blobs[0][1])
	if err := errors.Join(os.WriteFile(dir+"/private", tok.Blobs[0][:split], 0o600), os.WriteFile(dir+"/public", tok.Blobs[0][split:], 0o600)); err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc256:null:aes128cfb",
		"-a", "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth", "-c", dir+"/primary")
	run(t, device, "tpm2_load", "-Q", "-C", dir+"/primary", "-r", dir+"/private", "-u", dir+"/public", "-c", dir+"/object")
	run(t, device, "tpm2_flushcontext", "-t")
	run(t, device, "tpm2_startauthsession", "--policy-session", "-S", dir+"/session")
	run(t, device, "tpm2_policypcr", "-Q", "-S", dir+"/session", "-l", "sha256:0,7")
	if got := run(t, device, "tpm2_unseal", "-c", dir+"/object", "-p", "session:"+dir+"/session"); !bytes.Equal(got, secret) {
		t.Error("tpm2_unseal has another secret")
	}
	attributes := run(t, device, "tpm2_print", "-t", "TPM2B_PUBLIC", dir+"/public")
	if !bytes.Contains(attributes, []byte("raw: 0x412")) {
		t.Errorf("attributes of the sealed object:\n%s", attributes)
	}
}

// A token of 254 and later: the storage key is persistent, and the token names it.
func TestUnsealUnderPersistentKey(t *testing.T) {
	device, dir := testenv.StartSWTPM(t), t.TempDir()
	secret := newSecret(t)
	tok := sealUnderSRK(t, device, dir, secret)
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = ParseToken(raw); err != nil {
		t.Fatal(err)
	}
	tpm := open(t, device)
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("unsealed %d bytes: %v", len(got), err)
	}
	if _, err := open(t, testenv.StartSWTPM(t)).Unseal(tok, nil); !errors.Is(err, ErrForeignTPM) {
		t.Errorf("a TPM without the key: %v", err)
	}
	other := testenv.StartSWTPM(t)
	sealUnderSRK(t, other, t.TempDir(), secret)
	if _, err := open(t, other).Unseal(tok, nil); !errors.Is(err, ErrForeignTPM) {
		t.Errorf("a TPM with another key: %v", err)
	}
}

// sealUnderSRK makes with tpm2-tools what systemd-cryptenroll 256 makes.
func sealUnderSRK(t *testing.T, device, dir string, secret []byte) Token {
	t.Helper()
	run(t, device, "tpm2_createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc256:null:aes128cfb",
		"-a", "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda", "-c", dir+"/primary")
	run(t, device, "tpm2_evictcontrol", "-Q", "-C", "o", "-c", dir+"/primary", "-o", dir+"/srk", "0x81000001")
	run(t, device, "tpm2_flushcontext", "-t")
	run(t, device, "tpm2_createpolicy", "-Q", "--policy-pcr", "-l", "sha256:7", "-L", dir+"/policy")
	if err := os.WriteFile(dir+"/secret", secret, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_create", "-Q", "-C", "0x81000001", "-i", dir+"/secret", "-L", dir+"/policy",
		"-a", "fixedtpm|fixedparent|noda", "-r", dir+"/private", "-u", dir+"/public")
	run(t, device, "tpm2_flushcontext", "-t")
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	return Token{
		Keyslots: []int{1}, PCRs: []int{7}, Bank: "sha256",
		Blobs:        [][]byte{append(read("private"), read("public")...)},
		PolicyHashes: [][]byte{read("policy")}, SRK: read("srk"),
	}
}

// systemd-cryptsetup 252 unseals ours from a real header.
func TestSystemdUnsealsOurs(t *testing.T) {
	log := attach(t, sealedVolume(t, testenv.StartSWTPMDefaultPort(t), Binding{PCRs: []int{7}}))
	for _, want := range []string{"Completed TPM2 key unsealing", "[keyslot 1] using passphrase"} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("systemd-cryptsetup does not say %q:\n%s", want, log)
		}
	}
}
