package tpm2

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/testenv"
)

func open(t *testing.T, device string) *TPM {
	t.Helper()
	tpm, err := Open(context.Background(), device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tpm.Close(); err != nil {
			t.Error(err)
		}
	})
	return tpm
}

func newSecret(t *testing.T) []byte {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	return secret
}

// run runs a foreign tool against a TPM and returns what it printed.
func run(t *testing.T, device, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, program), args...)
	cmd.Env = append(cmd.Environ(), "TPM2TOOLS_TCTI="+device)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// valueOf returns what a PCR holds now in the bank sha256.
func valueOf(t *testing.T, tpm *TPM, pcr int) []byte {
	t.Helper()
	values, err := tpm.PCRs("sha256", []int{pcr})
	if err != nil {
		t.Fatal(err)
	}
	return values[pcr]
}

func extend(t *testing.T, device, pcr string) {
	t.Helper()
	run(t, device, "tpm2_pcrextend", pcr+":sha256="+strings.Repeat("ab", 32))
}

func TestSealUnseal(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	extend(t, device, "16")
	for name, b := range map[string]Binding{
		"pcr 7":          {PCRs: []int{7}},
		"many, unsorted": {PCRs: []int{16, 7, 0, 1, 2, 3, 4, 5, 6, 23, 7}},
		"none":           {AllowBlank: true},
		"sha1":           {PCRs: []int{7}, Bank: "sha1"},
		"sha512":         {PCRs: []int{7, 8}, Bank: "sha512"},
	} {
		for _, alg := range []string{algECC, algRSA} {
			t.Run(name+" "+alg, func(t *testing.T) {
				secret := newSecret(t)
				parent, err := tpm.makeStorageKey(storageTemplate(alg))
				if err != nil {
					t.Fatal(err)
				}
				tok, err := tpm.sealUnder(parent, secret, b)
				tpm.release()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
					t.Fatalf("unsealed %d bytes, equal %v: %v", len(got), bytes.Equal(got, secret), err)
				}
			})
		}
	}
	for _, size := range []int{1, 64, 128} {
		secret := bytes.Repeat([]byte{7}, size)
		tok, err := tpm.Seal(secret, Binding{AllowBlank: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("secret of %d bytes came back as %d bytes: %v", size, len(got), err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	for want, c := range map[string]struct {
		secret []byte
		b      Binding
	}{
		"secret of 0 bytes: want 1 to 128":    {nil, Binding{AllowBlank: true}},
		"secret of 129 bytes: want 1 to 128":  {make([]byte, 129), Binding{AllowBlank: true}},
		"PCR 24 is not one of 0 to 23":        {make([]byte, 32), Binding{PCRs: []int{24}}},
		"PCR -1 is not one of 0 to 23":        {make([]byte, 32), Binding{PCRs: []int{-1}}},
		`PCR bank "md5" is not one of sha256`: {make([]byte, 32), Binding{PCRs: []int{1}, Bank: "md5"}},
	} {
		if _, err := tpm.Seal(c.secret, c.b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}

// The policy digest by hand, by terms.digest and by the TPM (Seal compares) must be
// one. TestUnsealWhatSystemdEnrolled compares it with systemd's.
func TestPolicyDigest(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	seven := valueOf(t, tpm, 7)
	inner := sha256.Sum256(seven)
	hand := make([]byte, 32)
	hand = append(hand, 0, 0, 0x01, 0x7f) // TPM_CC_PolicyPCR
	hand = append(hand, 0, 0, 0, 1, 0x00, 0x0b, 3, 0x80, 0, 0)
	byHand := sha256.Sum256(append(hand, inner[:]...))
	byCalculator, err := terms{bank: banks[0]}.digest(map[int][]byte{7: seven})
	if err != nil || !bytes.Equal(byCalculator, byHand[:]) {
		t.Fatalf("by terms.digest: %x, %v", byCalculator, err)
	}
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil || !bytes.Equal(tok.PolicyHashes[0], byHand[:]) {
		t.Fatalf("by the TPM: %x, %v", tok.PolicyHashes, err)
	}
}

func TestUnsealAfterPCRChange(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	one, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7, 11}})
	if err != nil {
		t.Fatal(err)
	}
	forged, silent := two, two
	forged.Extra = map[string]json.RawMessage{valuesField: json.RawMessage(`{"7":"ff","99":"00"}`)}
	silent.Extra = nil
	was := fmt.Sprintf("PCR 7 (sha256) was %x", valueOf(t, tpm, 7))
	extend(t, device, "7")
	for _, c := range []struct {
		tok  Token
		want string
	}{{one, was}, {two, was}, {forged, "PCRs 7+11 (sha256)"}, {silent, "PCRs 7+11 (sha256)"}} {
		secret, err := tpm.Unseal(c.tok, nil)
		if !errors.Is(err, ErrPolicy) || secret != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PCR 11 ") {
			t.Errorf("secret %x, error %v", secret, err)
		}
	}
}

// The TPM itself must refuse, not only our comparison of digests before it.
func TestTPMEnforcesPolicy(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	extend(t, device, "7")
	values, err := tpm.PCRs("sha256", []int{7})
	if err != nil {
		t.Fatal(err)
	}
	// The token claims the policy of now; the object in the TPM still has its own.
	parent, err := tpm.parentOf(tok)
	if err != nil {
		t.Fatal(err)
	}
	object, _ := parseBlob(tok.Blobs[0])
	item, err := tpm.load(parent, object)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := terms{bank: banks[0]}.digest(values)
	s := shard{terms{bank: banks[0], pcrs: tok.PCRs}, now, object}
	if secret, err := tpm.openItem(parent, item, s, tok); !errors.Is(err, ErrPolicy) || !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("secret %x, error %v", secret, err)
	}
	tpm.release()
}

func TestUnsealOnAnotherTPM(t *testing.T) {
	here, there := open(t, testenv.StartSWTPM(t)), open(t, testenv.StartSWTPM(t))
	tok, err := here.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.Unseal(tok, nil); !errors.Is(err, ErrForeignTPM) || errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

func TestUnsealAfterReboot(t *testing.T) {
	dir := t.TempDir()
	device, stop := testenv.StartSWTPMPersistent(t, dir)
	secret := newSecret(t)
	tok := sealOnce(t, device, secret, Binding{PCRs: []int{7}})
	stop()
	device, _ = testenv.StartSWTPMPersistent(t, dir)
	if got, err := open(t, device).Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
}

// Errors must leave nothing in the TPM either. swtpm has room for three objects:
// five leaks of one kind would stop everything.
func TestNothingStaysInTheTPM(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	broken := tok
	broken.Blobs = [][]byte{bytes.Clone(tok.Blobs[0])}
	broken.Blobs[0][10] ^= 1
	for range 5 {
		if _, err := tpm.Unseal(tok, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := tpm.Unseal(broken, nil); !errors.Is(err, ErrForeignTPM) {
			t.Fatalf("damaged blob: %v", err)
		}
	}
	extend(t, device, "7")
	for range 5 {
		if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"handles-transient", "handles-loaded-session", "handles-saved-session"} {
		if left := run(t, device, "tpm2_getcap", kind); len(bytes.TrimSpace(left)) > 0 {
			t.Errorf("%s: %s", kind, left)
		}
	}
	if len(tpm.link.ledger) > 0 {
		t.Errorf("ledger: %x", tpm.link.ledger)
	}
}

// The legacy storage key is under lockout protection, as systemd makes it so.
func TestLockout(t *testing.T) {
	device, dir := testenv.StartSWTPM(t), t.TempDir()
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, device, "tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", "--recovery-time=1000", "--lockout-recovery-time=1000")
	run(t, device, "tpm2_createprimary", "-Q", "-C", "o", "-p", "good", "-c", dir+"/key.ctx")
	failing := exec.Command(testenv.Need(t, "tpm2_create"), "-Q", "-C", dir+"/key.ctx", "-P", "bad")
	failing.Env = append(failing.Environ(), "TPM2TOOLS_TCTI="+device)
	if err := failing.Run(); err == nil {
		t.Fatal("a wrong authorization was taken")
	}
	run(t, device, "tpm2_flushcontext", "-t")
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrLockout) {
		t.Error(err)
	}
	if _, err := tpm.Seal(newSecret(t), Binding{AllowBlank: true}); !errors.Is(err, ErrLockout) {
		t.Error(err)
	}
}

func TestPCRsAndBanks(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	extend(t, device, "7")
	var all []int
	for pcr := range maxPCR + 1 {
		all = append(all, pcr)
	}
	values, err := tpm.PCRs("sha256", all)
	if err != nil || len(values) != len(all) {
		t.Fatalf("%d values: %v", len(values), err)
	}
	judge := run(t, device, "tpm2_pcrread", "-Q", "-o", "/dev/stdout", "sha256:all")
	var ours []byte
	for _, pcr := range all {
		ours = append(ours, values[pcr]...)
	}
	if !bytes.Equal(ours, judge) {
		t.Error("tpm2_pcrread reads other values")
	}
	if _, err := tpm.PCRs("sm3", all); err == nil || !strings.Contains(err.Error(), `PCR bank "sm3" is not one of `) {
		t.Errorf("unknown bank: no error: %v", err)
	}
	names, err := tpm.Banks()
	if err != nil || names[0] != "sha256" {
		t.Errorf("banks %q, %v", names, err)
	}
}

// A bank can be switched off; then "" is the next, and asking for it by name says so.
func TestBankSwitchedOff(t *testing.T) {
	dir := t.TempDir()
	device, stop := testenv.StartSWTPMPersistent(t, dir)
	tok := sealOnce(t, device, newSecret(t), Binding{PCRs: []int{7}})
	run(t, device, "tpm2_pcrallocate", "-Q", "sha1:all+sha256:none+sha384:none+sha512:none")
	run(t, device, "tpm2_shutdown", "--clear")
	stop()
	device, _ = testenv.StartSWTPMPersistent(t, dir)
	tpm := open(t, device)
	if names, err := tpm.Banks(); err != nil || len(names) != 1 || names[0] != "sha1" {
		t.Fatalf("banks %q, %v", names, err)
	}
	if tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}}); err != nil || tok.Bank != "sha1" {
		t.Errorf("bank %q, %v", tok.Bank, err)
	}
	if _, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}, Bank: "sha256"}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

// swtpm can make ECC keys; one that cannot says so when it is asked.
func TestRSAWhereThereIsNoECC(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	tpm.link.channel = &tap{channel: tpm.link.channel, after: func(command, response []byte) []byte {
		if commandCode(command) == tpm2.TPMCCTestParms {
			return fromHex(t, "8001 0000000a 000001e6") // TPM_RC_CURVE, parameter 1
		}
		return response
	}}
	secret := newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil || tok.PrimaryAlg != algRSA {
		t.Fatalf("storage key %q, %v", tok.PrimaryAlg, err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
}

func TestOwnerPassword(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	run(t, device, "tpm2_changeauth", "-c", "owner", "password")
	if _, err := tpm.Seal(newSecret(t), Binding{AllowBlank: true}); err == nil || !strings.Contains(err.Error(), "owner hierarchy has a password") {
		t.Error(err)
	}
}

// A TPM whose policy digest is not the one computed here must not get a secret.
func TestSealRefusesADisagreeingTPM(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	tpm.link.channel = &tap{channel: tpm.link.channel,
		before: func(command []byte) {
			if commandCode(command) == tpm2.TPMCCCreate {
				t.Error("the secret was handed over")
			}
		},
		after: func(command, response []byte) []byte {
			if commandCode(command) == tpm2.TPMCCPolicyGetDigest {
				response[20] ^= 1
			}
			return response
		},
	}
	if _, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}}); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Error(err)
	}
}

// A field of a newer systemd may be a part of the policy that we leave out.
func TestMismatchNamesUnknownFields(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm := open(t, device)
	tok, err := tpm.Seal(newSecret(t), Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	tok.Extra = map[string]json.RawMessage{"tpm2_new": nil} // and no values of the PCRs
	extend(t, device, "7")
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "tpm2_new") {
		t.Error(err)
	}
}

// currentPolicy is the digest for the values that the PCRs have now.
func (t *TPM) currentPolicy(want terms) ([]byte, error) {
	values, err := t.PCRs(want.bank.name, want.pcrs)
	if err != nil {
		return nil, err
	}
	return want.digest(values)
}

// sum256 is what a PCR with a value becomes when it is extended.
func sum256(value, extended []byte) []byte {
	sum := sha256.Sum256(append(bytes.Clone(value), extended...))
	return sum[:]
}
