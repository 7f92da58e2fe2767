package tpm2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/testenv"
)

// pinOpens has a token refused without its PIN, refused with a wrong one at the cost of
// one try, and opened with the right one.
func pinOpens(t *testing.T, tpm *TPM, tok Token, pin string) []byte {
	t.Helper()
	count := func() uint32 {
		failures, _, _, err := tpm.lockout()
		if err != nil {
			t.Fatal(err)
		}
		return failures
	}
	before := count()
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrNoPIN) || count() != before {
		t.Errorf("without PIN: %v, %d tries", err, count()-before)
	}
	if _, err := tpm.Unseal(tok, []byte(pin+"0")); !errors.Is(err, ErrPIN) || errors.Is(err, ErrPolicy) || count() != before+1 {
		t.Errorf("a wrong PIN: %v, %d tries", err, count()-before)
	} else if !strings.Contains(err.Error(), "more the TPM locks itself") {
		t.Errorf("a wrong PIN does not tell what is left: %v", err)
	}
	secret, err := tpm.Unseal(tok, []byte(pin))
	if err != nil || count() != before+1 {
		t.Fatalf("the right PIN: %v, %d tries", err, count()-before)
	}
	return secret
}

func TestPINOfSystemd(t *testing.T) {
	for pin, pcrs := range map[string]string{"päss 1234": "0+7", "1234": "", zeroPIN(20): "7", zeroPIN(0): "7"} {
		t.Setenv("NEWPIN", pin)
		device := testenv.StartSWTPM(t) // each its own: systemd 252 leaves its sessions behind
		image, keyFile := volume(t)
		run(t, device, "systemd-cryptenroll", "--unlock-key-file="+keyFile, "--tpm2-device="+device, "--tpm2-pcrs="+pcrs, "--tpm2-with-pin=yes", image)
		tok, err := ParseToken(tokenOf(t, image))
		if err != nil || !tok.PIN {
			t.Fatalf("%+v, %v", tok, err)
		}
		if !opens(t, image, Passphrase(pinOpens(t, open(t, device), tok, pin))) {
			t.Error("cryptsetup does not take the passphrase")
		}
	}
}

func TestPINOfOurs(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	for _, b := range []Binding{{PCRs: []int{7}, PIN: []byte("1234")}, {PIN: []byte("1234")}} {
		secret := newSecret(t)
		tok, err := tpm.Seal(secret, b)
		if err != nil || !tok.PIN || tok.Salt != nil {
			t.Fatalf("%+v, %v", tok, err)
		}
		if got := pinOpens(t, tpm, tok, "1234"); !bytes.Equal(got, secret) {
			t.Error("another secret")
		}
		tok.PIN = false // a reader that knows nothing of PINs gets nowhere
		if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
			t.Error(err)
		}
	}
}

// A PIN is of no use where a PCR has changed, and no try is spent on finding that out.
func TestPINAfterPCRChange(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}, PIN: []byte("1234")})
	if err != nil {
		t.Fatal(err)
	}
	extend(t, device, "7")
	_, err = tpm.Unseal(tok, []byte("4321"))
	failures, _, _, counted := tpm.lockout()
	if !errors.Is(err, ErrPolicy) || failures != 0 || counted != nil {
		t.Errorf("%v, %d tries, %v", err, failures, counted)
	}
}

func TestPINLockout(t *testing.T) {
	device := testenv.StartSWTPM(t)
	run(t, device, "tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", "--recovery-time=3600", "--lockout-recovery-time=3600")
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PIN: []byte("1234")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Unseal(tok, []byte("4321")); !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), "after 0 more") {
		t.Error(err)
	}
	_, err = tpm.Unseal(tok, []byte("1234"))
	if !errors.Is(err, ErrLockout) || errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), "forgets one each 1h0m0s") {
		t.Error(err)
	}
	run(t, device, "tpm2_dictionarylockout", "--clear-lockout")
	if _, err := tpm.Unseal(tok, []byte("1234")); err != nil {
		t.Error(err)
	}
}

// Neither the PIN nor what is made of it goes over the bus.
func TestPINIsNotOnTheBus(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	var traffic bytes.Buffer
	walked := 0
	tpm.link.channel = &tap{channel: tpm.link.channel,
		before: func(command []byte) {
			traffic.Write(command)
			if commandCode(command) == tpm2.TPMCCPolicyAuthValue {
				walked++
			}
		},
		after: func(_, response []byte) []byte { traffic.Write(response); return response },
	}
	pin := []byte("correct horse battery")
	tok, err := tpm.Seal(newSecret(t), Binding{PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Unseal(tok, pin); err != nil || walked != 2 {
		t.Fatalf("%v: PolicyAuthValue %d times", err, walked)
	}
	auth, err := authValue(t.Context(), pin, nil)
	if err != nil || bytes.Contains(traffic.Bytes(), pin) || bytes.Contains(traffic.Bytes(), auth[:8]) {
		t.Error("the PIN is on the bus in plain text")
	}
}

// zeroPIN is a PIN whose authorization has a zero byte at this place. One at the end the
// TPM leaves away (and systemd 252 does not, and fails); before that, go-tpm's own
// sessions take the HMAC's key to end there.
func zeroPIN(at int) string {
	pin := 0
	for ; sha256.Sum256(fmt.Append(nil, pin))[at] != 0; pin++ {
	}
	return fmt.Sprint(pin)
}

func TestPINWithZeroByte(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	for _, at := range []int{31, 20, 0} {
		secret, pin := newSecret(t), []byte(zeroPIN(at))
		tok, err := tpm.Seal(secret, Binding{PIN: pin})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpm.Unseal(tok, pin); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("PIN %s: %v", pin, err)
		}
	}
}

// A token of 253 and later has a salted PIN: openssl derives it, tpm2-tools seal. That of
// this salt has a zero byte inside.
func TestSaltedPIN(t *testing.T) {
	device, dir := testenv.StartSWTPM(t), t.TempDir()
	secret := newSecret(t)
	auth := run(t, "", "sh", "-ec", `openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:1234 -kdfopt hexsalt:00ff10 -kdfopt iter:10000 -binary PBKDF2 |
		base64 -w0 | openssl dgst -sha256 -r | cut -d' ' -f1`)
	if err := os.WriteFile(dir+"/secret", secret, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc256:null:aes128cfb",
		"-a", "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth", "-c", dir+"/primary")
	run(t, device, "tpm2_startauthsession", "-S", dir+"/session") // a trial
	run(t, device, "tpm2_policypcr", "-Q", "-S", dir+"/session", "-l", "sha256:7")
	run(t, device, "tpm2_policyauthvalue", "-Q", "-S", dir+"/session", "-L", dir+"/policy")
	run(t, device, "tpm2_flushcontext", dir+"/session")
	run(t, device, "tpm2_create", "-Q", "-C", dir+"/primary", "-i", dir+"/secret", "-L", dir+"/policy", "-a", "fixedtpm|fixedparent",
		"-p", "hex:"+strings.TrimSpace(string(auth)), "-r", dir+"/private", "-u", dir+"/public")
	run(t, device, "tpm2_flushcontext", "-t")
	private, err1 := os.ReadFile(dir + "/private")
	public, err2 := os.ReadFile(dir + "/public")
	policy, err3 := os.ReadFile(dir + "/policy")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	tok := Token{
		Keyslots: []int{1}, PCRs: []int{7}, Bank: "sha256", PIN: true, Salt: []byte{0x00, 0xff, 0x10},
		Blobs: [][]byte{append(private, public...)}, PolicyHashes: [][]byte{policy},
	}
	tpm := open(t, device)
	if got := pinOpens(t, tpm, tok, "1234"); !bytes.Equal(got, secret) {
		t.Errorf("another secret: %x, want %x", got, secret)
	}
	want := terms{bank: banks[0], pcrs: []int{7}, auth: []byte{1}}
	if ours, err := tpm.currentPolicy(want); err != nil || !bytes.Equal(ours, policy) {
		t.Errorf("policy: the TPM's is %x, ours %x: %v", policy, ours, err)
	}
}

// systemd-cryptsetup 252 unseals what we sealed with a PIN, as in TestSystemdUnsealsOurs.
func TestSystemdUnsealsOurPIN(t *testing.T) {
	device := testenv.StartSWTPMDefaultPort(t)
	image := sealedVolume(t, device, Binding{PCRs: []int{7}, PIN: []byte("1234")})
	for pin, want := range map[string]string{"1234": "[keyslot 1] using passphrase", "4321": "the authorization HMAC check failed"} {
		log := attach(t, image, "PIN="+pin)
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("with PIN %s systemd-cryptsetup does not say %q:\n%s", pin, want, log)
		}
	}
}

// sealedVolume makes a LUKS2 volume with nothing but keyslot 1, for a secret of ours.
func sealedVolume(t *testing.T, device string, b Binding) (image string) {
	t.Helper()
	image, keyFile := volume(t)
	secret := newSecret(t)
	tok := sealOnce(t, device, secret, b)
	passphrase := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(passphrase, Passphrase(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "cryptsetup", "luksAddKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", keyFile, image, passphrase)
	run(t, "", "cryptsetup", "luksKillSlot", "-q", "--key-file", passphrase, image, "0")
	tok.Keyslots = []int{1}
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	imported := exec.Command(testenv.Need(t, "cryptsetup"), "token", "import", "--token-id", "0", image)
	imported.Stdin = bytes.NewReader(raw)
	if message, err := imported.CombinedOutput(); err != nil {
		t.Fatalf("token import: %v\n%s", err, message)
	}
	return image
}

// attach has systemd-cryptsetup open a volume, and returns what it said. Where there is
// no device mapper it stops right after it has the key; commas cut the option, so only
// the default port can be named.
func attach(t *testing.T, image string, environment ...string) []byte {
	t.Helper()
	return attachWith(t, image, "", environment...)
}

// attachWith is attach with more options, each behind a comma.
func attachWith(t *testing.T, image, options string, environment ...string) []byte {
	t.Helper()
	return attachTo(t, "swtpm:host=127.0.0.1", image, options, environment...)
}

// attachTo is attachWith for a TPM whose name has no comma.
func attachTo(t *testing.T, device, image, options string, environment ...string) []byte {
	t.Helper()
	program := testenv.Need(t, "systemd-cryptsetup")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const name = "sealpart-tpm2-test"
	attach := exec.CommandContext(ctx, program, "attach", name, image, "-", "tpm2-device="+device+",headless=true"+options)
	attach.Env = append(append(attach.Environ(), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"), environment...)
	log, err := attach.CombinedOutput()
	if err == nil {
		run(t, "", "systemd-cryptsetup", "detach", name)
	}
	return log
}
