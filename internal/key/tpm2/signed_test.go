package tpm2

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
)

// vendor signs what a kernel will measure, with systemd-measure.
type vendor struct{ dir, private, public string }

func newVendor(t *testing.T) vendor {
	t.Helper()
	dir := t.TempDir()
	v := vendor{dir, dir + "/private.pem", dir + "/public.pem"}
	run(t, "", "openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", v.private)
	run(t, "", "openssl", "pkey", "-in", v.private, "-pubout", "-out", v.public)
	if err := os.WriteFile(dir+"/linux", []byte("a kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vendor) pem(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(v.public)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign returns the file of signatures for a phase of the boot.
func (v vendor) sign(t *testing.T, device, phase string) (path string) {
	t.Helper()
	signed := run(t, "", "systemd-measure", "sign", "--bank=sha256", "--tpm2-device="+device, "--linux="+v.dir+"/linux",
		"--phase="+phase, "--private-key="+v.private, "--public-key="+v.public)
	path = v.dir + "/" + strings.ReplaceAll(phase, ":", "-") + ".json"
	if err := os.WriteFile(path, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// measure extends PCR 11 as sd-stub and systemd-pcrphase do.
func measure(t *testing.T, device string, what ...string) {
	t.Helper()
	for _, text := range what {
		sum := sha256.Sum256([]byte(text))
		run(t, device, "tpm2_pcrextend", "11:sha256="+hex.EncodeToString(sum[:]))
	}
}

// boot measures the kernel of a vendor.
func boot(t *testing.T, device string) {
	t.Helper()
	measure(t, device, ".linux\x00", "a kernel", "enter-initrd")
}

func TestSignedPolicyOfSystemd(t *testing.T) {
	for _, c := range []struct{ name, pcrs, pin string }{{"signed", "", ""}, {"and a PCR and a PIN", "7", "1234"}} {
		t.Run(c.name, func(t *testing.T) {
			device, v := testenv.StartSWTPM(t), newVendor(t)
			boot(t, device)
			signatures := v.sign(t, device, "enter-initrd")
			image, keyFile := volume(t)
			enroll := []string{"systemd-cryptenroll", "--unlock-key-file=" + keyFile, "--tpm2-device=" + device, "--tpm2-pcrs=" + c.pcrs,
				"--tpm2-public-key=" + v.public, "--tpm2-public-key-pcrs=11", "--tpm2-signature=" + signatures, image}
			if c.pin != "" {
				enroll = append([]string{"NEWPIN=" + c.pin}, append(enroll, "--tpm2-with-pin=yes")...)
			}
			run(t, device, "env", enroll...)
			tok, err := ParseToken(tokenOf(t, image))
			if err != nil {
				t.Fatal(err)
			}
			tpm := open(t, device)
			tpm.Search.Signatures = signatures
			secret, err := tpm.Unseal(tok, []byte(c.pin))
			if err != nil || !opens(t, image, Passphrase(secret)) {
				t.Fatal(err)
			}
			measure(t, device, "leave-initrd")
			if _, err := tpm.Unseal(tok, []byte(c.pin)); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), "PCRs 11 (sha256) are as the key") {
				t.Errorf("after the initrd: %v", err)
			}
		})
	}
}

// After an update a signature opens what was sealed before; without one, with another's
// or with one that does not hold, nothing does.
func TestSignedPolicyOfOurs(t *testing.T) {
	device, v, other := testenv.StartSWTPM(t), newVendor(t), newVendor(t)
	boot(t, device)
	tpm, secret := open(t, device), newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PublicKey: v.pem(t), PublicKeyPCRs: []int{11}, Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	unseal := func(signatures string) error {
		tpm.Search.Signatures = signatures
		got, err := tpm.Unseal(tok, nil)
		if err == nil && !bytes.Equal(got, secret) {
			t.Error("another secret")
		}
		return err
	}
	first := v.sign(t, device, "enter-initrd")
	if err := unseal(first); err != nil {
		t.Fatal(err)
	}
	measure(t, device, "leave-initrd") // an update, as far as the TPM can tell
	updated := v.sign(t, device, "enter-initrd:leave-initrd")
	if err := unseal(updated); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"that of before": first, "another's": other.sign(t, device, "enter-initrd:leave-initrd"),
		"false": forged(t, updated), "none": v.dir + "/none.json",
	} {
		if err := unseal(path); !errors.Is(err, ErrPolicy) {
			t.Errorf("signature %s: %v", name, err)
		}
	}
}

// forged is a file of signatures that are not what they say.
func forged(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known, err := parseSignatures(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range known["sha256"] {
		known["sha256"][i].Signature[9] ^= 1
	}
	raw, err = json.Marshal(known)
	if err == nil {
		err = os.WriteFile(path+".forged", raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path + ".forged"
}

// systemd-cryptsetup 252 unseals what we sealed to a signed policy.
func TestSystemdUnsealsOurSignedPolicy(t *testing.T) {
	device, v := testenv.StartSWTPMDefaultPort(t), newVendor(t)
	boot(t, device)
	image := sealedVolume(t, device, Binding{PCRs: []int{7}, PublicKey: v.pem(t), PublicKeyPCRs: []int{11}})
	log := attachWith(t, image, ",tpm2-signature="+v.sign(t, device, "enter-initrd"))
	if want := []byte("[keyslot 1] using passphrase"); !bytes.Contains(log, want) {
		t.Errorf("systemd-cryptsetup does not say %q:\n%s", want, log)
	}
}

func TestSignerRefuses(t *testing.T) {
	v := newVendor(t)
	run(t, "", "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", v.dir+"/ec")
	elliptic := run(t, "", "openssl", "ec", "-in", v.dir+"/ec", "-pubout")
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"nothing": {nil, "PEM"}, "private": {run(t, "", "cat", v.private), "PUBLIC KEY"},
		"cut off": {bytes.Replace(v.pem(t), []byte("MIIB"), nil, 1), "key of the signed policy"}, "elliptic": {elliptic, "no RSA key"},
	} {
		if _, err := newSigner(c.text, []int{11}, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzPolicyFiles reads files that lie where an attacker may write.
func FuzzPolicyFiles(f *testing.F) {
	f.Add([]byte(`{"sha256":[{"pcrs":[11],"pkfp":"00","pol":"00","sig":"AA=="}]}`))
	f.Add([]byte(`{"pcrBank":"sha256","pcrValues":[{"pcr":7,"values":["00"]}],"nvIndex":25165824,"nvHandle":"AA=="}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if known, err := parseSignatures(raw); err == nil {
			known.find(banks[0], &signer{pcrs: []int{11}}, nil)
		}
		if policy, err := parseLockPolicy(raw); err == nil {
			_, _ = policy.branches()
		}
		_, _ = newSigner(raw, nil, "")
		_, _ = parseDeviceKey(raw, 0)
	})
}

// TestSealedWithoutASignature: a key whose signature is not at hand, or is over other values,
// is made all the same, and says that it could not be tried.
func TestSealedWithoutASignature(t *testing.T) {
	device, v := testenv.StartSWTPM(t), newVendor(t)
	boot(t, device)
	signed := v.sign(t, device, "enter-initrd")
	key := definitions.Key{Type: definitions.KeyTPM2, PublicKey: v.public, PublicKeyPCRs: []int{11}}
	for path, want := range map[string]string{
		signed:               "",
		v.dir + "/none.json": "PCRs 11 need a signature: open " + v.dir + "/none.json: no such file or directory",
		v.sign(t, device, "enter-initrd:sysinit"): "PCRs 11 (sha256) have no values that the key ",
	} {
		s := Sealer{Device: device, Search: Search{Signatures: path}}
		sealed, err := s.Seal(t.Context(), key)
		if err != nil || !strings.HasPrefix(sealed.Unproven, want) || (want == "") != (sealed.Unproven == "") {
			t.Errorf("%s: %q, not %q (%v)", path, sealed.Unproven, want, err)
			continue
		}
		sealed.Passphrase.Wipe()
		if opened, err := s.Unseal(t.Context(), key, sealed.Token); (err == nil) != (want == "") {
			t.Errorf("%s: unsealed: %v", path, err)
		} else {
			opened.Wipe()
		}
	}
}
