package definitions

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// What becomes of a tpm2 key that binds to nothing but the TPM: whoever starts the machine
// with a system of his own could open the volume.
const (
	BlankRefuse = "refuse"
	BlankAllow  = "allow"
)

// How the reset value of PCR 0 tells from which locality the TPM was started, at most: 4
// for what ran before it. TPM 2.0 Library Part 1, 12.2.3.
const maxLocality = 4

// BlankPCR reports whether a PCR has a value that nothing was measured into: all zeroes, or
// all ones in those of a measured launch (17 to 22). PC Client Platform TPM Profile, 4.6.
func BlankPCR(pcr int, value []byte) bool {
	if len(value) == 0 {
		return false
	}
	first, last := value[:len(value)-1], value[len(value)-1]
	switch {
	case pcr == 0:
		return len(bytes.Trim(first, "\x00")) == 0 && last <= maxLocality
	case pcr >= 17 && pcr <= 22 && len(bytes.Trim(value, "\xff")) == 0:
		return true
	}
	return len(bytes.Trim(value, "\x00")) == 0
}

// Conditional reports whether anything but the TPM itself must be right for a tpm2 key to
// open: PCRs, a PIN, or a policy that somebody signs or keeps.
func (k Key) Conditional() bool {
	return len(k.PCRs) > 0 || k.PIN != "" || k.PublicKey != "" || k.PCRLock != ""
}

// AllowsBlank reports whether the definition puts up with a tpm2 key that binds to nothing.
func (k Key) AllowsBlank() bool { return k.Blank == BlankAllow }

// blank refuses a tpm2 key of which it can be seen here that it binds to nothing. One that is
// not sound anyhow may only seem so.
func (b *builder) blank(k *Key, set settings, sound bool) {
	if k.Blank = b.oneOf(set, "blank", blankWords, ""); k.Blank == BlankRefuse {
		k.Blank = ""
	}
	if !sound || k.Type != KeyTPM2 || k.AllowsBlank() {
		return
	}
	if s := set["type"]; !k.Conditional() {
		b.fail(s, "is %q, and nothing is named that the key is bound to beside the TPM: any system that the machine starts could open it", k.Type).
			hint(`name "pcrs", "public_key", "pcrlock" or "pin", or say blank = %q`, BlankAllow)
	}
	if s, ok := set["pcrs"]; ok && len(k.PCRs) > 0 && !slices.ContainsFunc(k.PCRs, k.mayBind) {
		b.fail(s, "has only values that PCRs have into which nothing was measured: any system that the machine starts could open it").
			hint("give the values that the PCRs have when the machine is started as it should be, or say blank = %q", BlankAllow)
	}
}

// mayBind reports whether a PCR may have a value that something was measured into. Of one
// without a given value only the TPM knows.
func (k Key) mayBind(pcr int) bool {
	given, ok := k.PCRValues[pcr]
	value, err := hex.DecodeString(given)
	return !ok || err != nil || !BlankPCR(pcr, value)
}
