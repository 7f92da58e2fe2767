package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
)

// checkPrograms finds programs that are missing.
func (r *Report) checkPrograms(defs []definitions.Definition) {
	for _, program := range slices.Sorted(maps.Keys(r.Programs)) {
		if r.Programs[program] != "" {
			continue
		}
		missing := fmt.Sprintf("the definitions call for %s, which is not installed", program)
		const anew = "; in an initramfs, make that anew"
		switch {
		case !strings.HasPrefix(program, "/"):
			r.stops(missing, fmt.Sprintf("install it (in Debian it is in the package %s)", host.PackageOf(program))+anew)
		case moduleToSpare(defs, program):
			r.weakens(missing+": what is encrypted goes without its key, by the others", "put the key module there"+anew)
		default:
			r.stops(missing, "put the key module there"+anew)
		}
	}
}

// moduleToSpare reports whether all keys of a module are to spare.
func moduleToSpare(defs []definitions.Definition, program string) bool {
	return !slices.ContainsFunc(defs, func(d definitions.Definition) bool {
		return slices.ContainsFunc(KeysOf(d, definitions.KeyCommand), func(k definitions.Key) bool {
			return k.Program == program && !toSpare(d, k)
		})
	})
}

// toSpare reports whether a volume is made without a key where nothing of its type is
// there: another does for the machine.
func toSpare(d definitions.Definition, k definitions.Key) bool {
	other := func(other definitions.Key) bool { return other.Type != k.Type && !other.ForPersons() }
	return !k.Required && slices.ContainsFunc(d.Encryption.Keys, other)
}

// checkTPM2 finds keys that this machine's TPM cannot make, or that are worth little.
func (r *Report) checkTPM2(defs []definitions.Definition) {
	for _, d := range defs {
		for _, k := range KeysOf(d, definitions.KeyTPM2) {
			r.checkTPM2Key(d, k)
		}
	}
}

func (r *Report) checkTPM2Key(d definitions.Definition, k definitions.Key) {
	switch {
	case !r.TPM2.Present && toSpare(d, k):
		r.weakens(fmt.Sprintf("%s: there is no TPM 2.0, so what is encrypted goes without its key, by the others: %s", d.File, r.TPM2.Problem), noTPM)
	case !r.TPM2.Present && d.Encryption.Unavailable == definitions.UnavailableLeave:
		r.weakens(fmt.Sprintf("%s: there is no TPM 2.0, so what is there already stays unencrypted: %s", d.File, r.TPM2.Problem), noTPM)
	case !r.TPM2.Present:
		r.stops(fmt.Sprintf("%s: a key is to be sealed to a TPM 2.0, and there is none: %s", d.File, r.TPM2.Problem),
			noTPM+`; or let unavailable = "leave" boot such machines unencrypted`)
	case k.Bank != "" && !slices.Contains(r.TPM2.Banks, k.Bank):
		r.stops(fmt.Sprintf("%s: the TPM keeps no PCR bank %s, only %s", d.File, k.Bank, strings.Join(r.TPM2.Banks, ", ")),
			"leave bank out, or have the firmware keep that bank")
	}
	if slices.Contains(k.PCRs, 7) && r.TPM2.Present && r.Machine.SecureBoot != host.SecureBootOn {
		r.weakens(fmt.Sprintf("%s: the key is bound to PCR 7, the policy of Secure Boot, which is %s: other systems can be booted and open it", d.File, r.Machine.SecureBoot),
			"enable Secure Boot before the first boot; it changes PCR 7, and the key would not open after it")
	}
	if blank := slices.DeleteFunc(slices.Clone(k.PCRs), func(n int) bool { return !slices.Contains(r.TPM2.Blank, n) }); len(blank) > 0 {
		problem := fmt.Sprintf("%s: the firmware measured nothing into PCRs %v: a key that is bound to them opens in any other system, too", d.File, blank)
		if len(blank) == len(k.PCRs) && len(k.PCRValues) == 0 && !k.AllowsBlank() {
			r.stops(problem, `name PCRs that are measured into, or other conditions; or say blank = "allow"`)
		} else {
			r.weakens(problem, "")
		}
	}
	kind := d.Partition.Type.Name
	root := strings.HasPrefix(kind, "root") || strings.HasPrefix(kind, "usr")
	if widest := k.Format == definitions.FormatWidest || k.Format == "" && !r.Machine.Opener.OpensNewest(true, root); k.PIN != "" && widest {
		r.weakens(d.File+": a key has a PIN in the widest form: who sits on the bus of the TPM can learn it, by trying, without the TPM", `format = "newest" hardens it, for systemd 262 and later or "sealpart open"`)
	}
}

// checkTokens finds keys of PKCS#11 tokens that a boot refuses to enrol.
func (r *Report) checkTokens(defs []definitions.Definition) {
	for _, d := range defs {
		for _, k := range KeysOf(d, definitions.KeyPKCS11) {
			if k.KeySHA256 == "" && !k.Provision {
				r.stops(fmt.Sprintf("%s: the key %s has no key_sha256, and a boot enrols no key by its label alone", d.File, k.URI),
					"say in the definition which key it is: \"sealpart key list\" prints the sum of one that is enrolled")
			}
		}
	}
}

const noTPM = "enable the TPM (also called fTPM or PTT) in the firmware's setup, and have its driver in the initramfs"

// KeysOf returns the keys of one type that a definition has.
func KeysOf(d definitions.Definition, keyType string) []definitions.Key {
	if d.Encryption == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.Encryption.Keys), func(k definitions.Key) bool { return k.Type != keyType })
}

// checkTargets finds device-mapper targets and ciphers that the next boot needs and the
// kernel lacks.
func (r *Report) checkTargets(defs []definitions.Definition) {
	needed := map[string]string{}
	for _, d := range defs {
		if d.Encryption != nil {
			needed["dm-crypt"] = d.File
			if d.Encryption.SecureKey != nil {
				needed["paes_s390"] = d.File
			}
		}
		if d.Verity != nil {
			needed["dm-verity"] = d.File
		}
	}
	for _, target := range slices.Sorted(maps.Keys(needed)) {
		if r.Kernel[target] == host.ModuleMissing {
			r.stops(fmt.Sprintf("%s: the kernel %s has no %s: nothing could open what is made", needed[target], r.Machine.KernelRelease, target),
				"use a kernel with it; in an initramfs, put the module there")
		}
	}
}
