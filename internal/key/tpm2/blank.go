package tpm2

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sealpart/sealpart/definitions"
)

// What a key is bound to must bind: a policy of PCRs that nobody measures into is met by
// every system that is started on the machine, an attacker's too.

// bindElse is what helps where nothing else does.
const bindElse = `bind the key to something else ("pcrs" that are measured into, "pin", "public_key"), or say blank = "allow"`

// errBlankLock refuses a policy of pcrlock that every system fits.
var errBlankLock = &blankError{"the policy of systemd-pcrlock takes PCRs that nothing was measured into, or none",
	`"systemd-pcrlock make-policy" with PCRs that are measured into makes another; or ` + bindElse}

// blankError says why a binding binds to nothing. It is ErrBlank.
type blankError struct{ reason, remedy string }

// Error says why.
func (e *blankError) Error() string { return ErrBlank.Error() + ": " + e.reason }

// Hint says what to do next.
func (e *blankError) Hint() string { return e.remedy }

// Is makes it ErrBlank.
func (e *blankError) Is(target error) bool { return target == ErrBlank }

// conditional reports whether there is anything beside the TPM that must be right.
func (b Binding) conditional() bool {
	return len(b.PCRs) > 0 || len(b.PIN) > 0 || b.PublicKey != nil || b.PCRLock != ""
}

// measured are the PCRs whose values of now count.
func (b Binding) measured() []int {
	pcrs := slices.DeleteFunc(slices.Clone(b.PCRs), func(pcr int) bool { return b.Values[pcr] != nil })
	if b.PublicKey != nil {
		pcrs = append(pcrs, b.PublicKeyPCRs...)
	}
	return normalPCRs(pcrs)
}

// judge refuses PCRs none of which was measured into, and a binding without any condition.
// Of PCRs some of which are blank it returns what is to be said.
func (b Binding) judge(bank string, values map[int][]byte) (warning string, err error) {
	if !b.conditional() && !b.AllowBlank {
		return "", &blankError{"no PCRs, no PIN and no policy are named", bindElse}
	}
	blank := blankOf(values)
	if len(blank) == 0 {
		return "", nil
	}
	text := fmt.Sprintf("nothing was measured into PCRs %s of the bank %s", pcrList(blank), bank)
	if len(blank) == len(values) && !b.AllowBlank {
		return "", &blankError{text, "start the machine with a firmware and a boot loader that measure into them; or " + bindElse}
	}
	return text + ": a key that is sealed to them opens in any other system, as far as they go", nil
}

// blankOf returns the PCRs that nothing was measured into, ascending.
func blankOf(values map[int][]byte) []int {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(pcr int) bool { return !definitions.BlankPCR(pcr, values[pcr]) })
}

// checkBound judges all that a key is to be bound to: PCRs by their values, those that
// somebody signs by the values of now, and those of a policy of pcrlock by the ones it
// allows. It comes before anything is sealed.
func (t *TPM) checkBound(b Binding, bank string, all []terms, values map[int][]byte) error {
	if err := t.checkValues(b, bank, values); err != nil {
		return t.hintBank(b, bank, err)
	}
	for _, want := range all {
		if want.signer != nil {
			now, err := t.PCRs(bank, want.signer.pcrs)
			if err == nil {
				err = t.checkValues(b, bank, now)
			}
			if err != nil {
				return t.hintBank(b, bank, err)
			}
		}
		if want.lock != nil && !b.AllowBlank && want.lock.blank() {
			return errBlankLock
		}
	}
	return nil
}

func (t *TPM) checkValues(b Binding, bank string, values map[int][]byte) error {
	warning, err := b.judge(bank, values)
	if warning != "" {
		t.warn(warning)
	}
	return err
}

func (t *TPM) warn(text string) {
	if t.Warn != nil {
		t.Warn(text)
	}
}

// hintBank adds to the error of a bank that was named which other is measured into.
func (t *TPM) hintBank(b Binding, named string, err error) error {
	var blank *blankError
	if !errors.As(err, &blank) || b.Bank == "" || len(b.Values) > 0 {
		return err
	}
	names, _ := t.Banks() // without them it is the same error
	for _, name := range names {
		values, failed := t.PCRs(name, b.measured())
		if failed == nil && name != named && len(blankOf(values)) < len(values) {
			return &blankError{blank.reason, fmt.Sprintf("the firmware measures into the bank %s: name that one, or leave bank out", name)}
		}
	}
	return err
}

// measuredBank returns the bank in which the fewest of the PCRs are blank, the preferred
// one where others are no better. Firmware need not measure into all that a TPM keeps.
func (t *TPM) measuredBank(preferred bank, pcrs []int) (bank, error) {
	names, err := t.Banks()
	if err != nil {
		return bank{}, err
	}
	best, fewest := preferred, len(pcrs)+1
	for _, name := range names {
		if fewest == 0 || len(pcrs) == 0 {
			break
		}
		values, err := t.PCRs(name, pcrs)
		if err != nil && name == preferred.name {
			return bank{}, err
		}
		if n := len(blankOf(values)); err == nil && n < fewest {
			fewest = n
			if best, err = bankNamed(name); err != nil {
				return bank{}, err
			}
		}
	}
	if best.name != preferred.name {
		t.warn(fmt.Sprintf("sealed to the PCR bank %s: into that of %s the firmware does not measure PCRs %s", best.name, preferred.name, pcrList(pcrs)))
	}
	return best, nil
}

// Blank returns those of some PCRs that nothing was measured into, in a bank, or in the one
// that a key would be sealed to where that is "".
func (t *TPM) Blank(pcrs []int, bank string) ([]int, error) {
	kept, err := t.bindingBank(Binding{PCRs: pcrs, Bank: bank})
	if err != nil {
		return nil, err
	}
	values, err := t.PCRs(kept.name, pcrs)
	return blankOf(values), err
}

// blank reports whether a system that measures nothing fits the policy.
func (p lockPolicy) blank() bool {
	return !slices.ContainsFunc(p.pcrs, func(l lockedPCR) bool {
		return !slices.ContainsFunc(l.Values, func(v hexBytes) bool { return definitions.BlankPCR(l.PCR, v) })
	})
}
