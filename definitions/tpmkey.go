package definitions

import (
	"maps"
	"slices"
	"strconv"
)

// AutoPath stands in place of a path: the file is where systemd has it.
const AutoPath = "auto"

// tpmKey sets what a tpm2 key is bound to, and in which form.
func (b *builder) tpmKey(k *Key, set settings) {
	k.Bank = b.oneOf(set, "bank", banks, "")
	b.literalPCRs(k, set)
	k.PublicKey = b.policyFile(set, "public_key")
	b.signedPCRs(k, set)
	k.PCRLock = b.policyFile(set, "pcrlock")
	k.SRK = b.handle(set, "srk")
	if path, s, ok := value[string](set, "device_key"); ok {
		k.DeviceKey = path
		if err := checkPath(path); err != nil {
			b.fail(s, "%v", err)
		}
	}
	b.tokenForm(k, set)
	b.offlineKey(k, set)
}

// literalPCRs sets the PCRs that a key is bound to by value, ascending. An empty list, as
// none at all, binds it to the TPM alone. A volume has one bank.
func (b *builder) literalPCRs(k *Key, set settings) {
	pcrs, s, _ := value[[]pcr](set, "pcrs")
	k.PCRs = b.numbers(s, pcrs)
	for i, p := range pcrs {
		if p.bank != "" && k.Bank != "" && p.bank != k.Bank {
			b.failItem(s, i, "has PCR %d of the bank %s, and the key's is %s", p.number, p.bank, k.Bank)
		}
		if p.bank != "" {
			k.Bank = p.bank
		}
		if p.value != "" && k.PCRValues == nil {
			k.PCRValues = map[int]string{}
		}
		if p.value != "" {
			k.PCRValues[p.number] = p.value
		}
	}
}

// signedPCRs sets the PCRs that a signed policy is about, 11 where none is named: there a
// unified kernel image is measured.
func (b *builder) signedPCRs(k *Key, set settings) {
	pcrs, s, ok := value[[]pcr](set, "public_key_pcrs")
	switch {
	case k.PublicKey == "" && ok:
		b.fail(s, `says what "public_key" signs, and that is not set`)
	case k.PublicKey != "" && !ok:
		k.PublicKeyPCRs = []int{11}
	case ok && len(pcrs) == 0:
		b.fail(s, "names no PCR: the signature would be about nothing")
	case ok:
		k.PublicKeyPCRs = b.numbers(s, pcrs)
	}
	for i, p := range pcrs {
		if ok && (p.bank != "" || p.value != "") {
			b.failItem(s, i, "has a bank or value, and those come with the signature")
		}
	}
}

// numbers returns the numbers of PCRs, ascending.
func (b *builder) numbers(s setting, pcrs []pcr) []int {
	seen := map[int]bool{}
	for i, p := range pcrs {
		if seen[p.number] {
			b.failItem(s, i, "has PCR %d twice", p.number)
		}
		seen[p.number] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// policyFile returns the path of a file that goes with a policy, or AutoPath.
func (b *builder) policyFile(set settings, name string) string {
	path, s, ok := value[string](set, name)
	if !ok || path == AutoPath {
		return path
	}
	if err := checkPath(path); err != nil {
		b.fail(s, "%v; or %q, where systemd has it", err, AutoPath)
	}
	return path
}

// handle returns the handle of a persistent object. TPM 2.0 Library Part 2, 7.5.
func (b *builder) handle(set settings, name string) uint32 {
	text, s, ok := value[string](set, name)
	if !ok {
		return 0
	}
	handle, err := strconv.ParseUint(text, 0, 32)
	if err != nil || handle>>24 != 0x81 {
		b.fail(s, `is %q, which is not the handle of a persistent key, as in "0x81000001"`, text)
	}
	return uint32(handle)
}

// tokenForm sets the form of a key's token, "" for what the plan decides, unless something
// is asked for that only the newest has.
func (b *builder) tokenForm(k *Key, set settings) {
	if k.Format = b.oneOf(set, "format", tokenForms, ""); k.Format == FormatAuto {
		k.Format = ""
	}
	for _, name := range []string{"pcrlock", "srk", "device_key"} {
		s, ok := set[name]
		if ok && k.Format == FormatWidest {
			b.fail(s, "is only in the form %q, and this key's is %q", FormatNewest, k.Format)
		}
		if ok {
			k.Format = FormatNewest
		}
	}
}

// offlineKey refuses what must be asked of a TPM, for one that is not here.
func (b *builder) offlineKey(k *Key, set settings) {
	s, ok := set["device_key"]
	if !ok {
		return
	}
	if k.PCRLock != "" {
		b.fail(s, `is a TPM that is not here, and "pcrlock" has its policy inside one`)
	}
	for _, n := range k.PCRs {
		if k.PCRValues[n] == "" {
			b.fail(s, "is a TPM that is not here, and PCR %d has no value given", n)
		}
	}
}
