package doctor

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
)

// sealed is a definition with one TPM key.
func sealed(unavailable string, k definitions.Key) []definitions.Definition {
	k.Type = definitions.KeyTPM2
	return []definitions.Definition{{File: "10-root.toml", Encryption: &definitions.Encryption{
		Unavailable: unavailable, Keys: []definitions.Key{{Type: definitions.KeyRecovery}, k},
	}}}
}

// carded is a definition with one key of a PKCS#11 token.
func carded(k definitions.Key) []definitions.Definition {
	k.Type = definitions.KeyPKCS11
	return []definitions.Definition{{File: "10-root.toml", Encryption: &definitions.Encryption{Keys: []definitions.Key{k}}}}
}

// healthy is a machine on which nothing is to be found.
func healthy() *Report {
	return &Report{
		Machine:  host.Facts{SecureBoot: host.SecureBootOn, KernelRelease: "6.1"},
		TPM2:     TPM2{Present: true, Banks: []string{"sha256"}},
		Kernel:   map[string]string{"dm-crypt": host.ModuleFile, "dm-verity": host.ModuleBuiltIn},
		Programs: map[string]string{"mkfs.ext4": "/sbin/mkfs.ext4"},
	}
}

func TestDiagnose(t *testing.T) {
	bound := sealed(definitions.UnavailableFail, definitions.Key{PCRs: []int{7, 11}})
	both, required := sealed("", definitions.Key{}), sealed("", definitions.Key{Required: true})
	both[0].Encryption.Keys[0].Type, required[0].Encryption.Keys[0].Type = definitions.KeyFile, definitions.KeyFile
	module := []definitions.Definition{{File: "10-root.toml", Encryption: &definitions.Encryption{Keys: []definitions.Key{
		{Type: definitions.KeyCommand, Program: "/vault"}, {Type: definitions.KeyFile},
	}}}}
	alone := []definitions.Definition{{File: "10-root.toml", Encryption: &definitions.Encryption{Keys: module[0].Encryption.Keys[:1]}}}
	vault := func(r *Report) { r.Programs["/vault"] = "" }
	verity := []definitions.Definition{{File: "20-usr.toml", Verity: &definitions.Verity{}}}
	for _, c := range []struct {
		name     string
		ill      func(*Report)
		defs     []definitions.Definition
		troubles []Trouble
		want     []string // the beginnings: "!" where it stops a boot
	}{
		{name: "healthy", defs: bound},
		{name: "no definitions", want: []string{"!there are no definitions"}},
		{name: "unsound definitions", troubles: []Trouble{{errors.New("10-root.toml:1:1: wrong"), "mend it"}}, want: []string{"!10-root.toml:1:1: wrong"}},
		{name: "missing program", defs: bound, ill: func(r *Report) { r.Programs["mkfs.ext4"] = "" }, want: []string{"!the definitions call for mkfs.ext4"}},
		{name: "no TPM", defs: bound, ill: func(r *Report) { r.TPM2 = TPM2{Problem: "no TPM 2.0 found"} }, want: []string{"!10-root.toml: a key is to be sealed"}},
		{name: "no TPM, left", defs: sealed(definitions.UnavailableLeave, definitions.Key{}), ill: func(r *Report) { r.TPM2 = TPM2{} }, want: []string{"10-root.toml: there is no TPM 2.0, so what"}},
		{name: "no TPM, a file", defs: both, ill: func(r *Report) { r.TPM2 = TPM2{} }, want: []string{"10-root.toml: there is no TPM 2.0, so what is encrypted goes without"}},
		{name: "no TPM, a file, required", defs: required, ill: func(r *Report) { r.TPM2 = TPM2{} }, want: []string{"!10-root.toml: a key is to be sealed"}},
		{name: "key module", defs: module, ill: vault, want: []string{"the definitions call for /vault"}},
		{name: "key module, alone", defs: alone, ill: vault, want: []string{"!the definitions call for /vault"}},
		{name: "bank", defs: sealed("", definitions.Key{Bank: "sha512"}), want: []string{"!10-root.toml: the TPM keeps no PCR bank sha512, only sha256"}},
		{name: "secure boot off", defs: bound, ill: func(r *Report) { r.Machine.SecureBoot = host.SecureBootOff }, want: []string{"10-root.toml: the key is bound to PCR 7"}},
		{name: "blank PCR", defs: bound, ill: func(r *Report) { r.TPM2.Blank = []int{4, 11} }, want: []string{"10-root.toml: the firmware measured nothing into PCRs [11]"}},
		{name: "token by its label", defs: carded(definitions.Key{URI: "pkcs11:token=t"}), want: []string{"!10-root.toml: the key pkcs11:token=t has no key_sha256"}},
		{name: "token by its key", defs: carded(definitions.Key{KeySHA256: "00"})},
		{name: "token to be made", defs: carded(definitions.Key{Provision: true})},
		{name: "blank PCRs only", defs: bound, ill: func(r *Report) { r.TPM2.Blank = []int{7, 11} }, want: []string{"!10-root.toml: the firmware measured nothing into PCRs [7 11]"}},
		{name: "blank PCRs, allowed", defs: sealed("", definitions.Key{PCRs: []int{7}, Blank: definitions.BlankAllow}), ill: func(r *Report) { r.TPM2.Blank = []int{7} }, want: []string{"10-root.toml: the firmware measured nothing into PCRs [7]"}},
		{name: "weak PIN", defs: sealed("", definitions.Key{PCRs: []int{7}, PIN: "ask"}), want: []string{"10-root.toml: a key has a PIN in the widest form"}},
		{name: "no dm-crypt", defs: bound, ill: func(r *Report) { r.Kernel["dm-crypt"] = host.ModuleMissing }, want: []string{"!10-root.toml: the kernel 6.1 has no dm-crypt"}},
		{name: "no dm-verity", defs: verity, ill: func(r *Report) { r.Kernel["dm-verity"] = host.ModuleMissing }, want: []string{"!20-usr.toml: the kernel 6.1 has no dm-verity"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := healthy()
			if c.ill != nil {
				c.ill(r)
			}
			r.Diagnose(c.defs, c.troubles)
			same := slices.EqualFunc(r.Findings, c.want, func(f Finding, want string) bool {
				begins, stops := strings.CutPrefix(want, "!")
				return f.Stops == stops && strings.HasPrefix(f.Problem, begins)
			})
			if !same {
				t.Errorf("findings are %+v", r.Findings)
			}
		})
	}
}
