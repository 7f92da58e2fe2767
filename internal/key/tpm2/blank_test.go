package tpm2

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/testenv"
)

// hinted returns the text of an error with its hint.
func hinted(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return fmt.Sprint(err, "\n", h.Hint())
	}
	return fmt.Sprint(err)
}

// What would bind to nothing is refused before anything is sealed, and taken where it is
// meant so. A PIN does not make up for PCRs that are named and blank.
func TestSealRefusesBlank(t *testing.T) {
	blank, measured := testenv.StartBlankSWTPM(t), testenv.StartSWTPM(t)
	for name, c := range map[string]struct {
		device string
		b      Binding
		want   string // "": it is sealed
		warns  string
	}{
		"blank TPM":           {blank, Binding{PCRs: []int{7}}, "nothing was measured into PCRs 7 of the bank sha256", ""},
		"blank TPM, newest":   {blank, Binding{PCRs: []int{0, 7}, Newest: true}, "PCRs 0+7 of the bank sha256", ""},
		"blank TPM and a PIN": {blank, Binding{PCRs: []int{7}, PIN: []byte("1")}, "PCRs 7 of the bank sha256", ""},
		"measured launch":     {blank, Binding{PCRs: []int{17, 18}}, "PCRs 17+18 of the bank sha256", ""},
		"bank that is named":  {blank, Binding{PCRs: []int{7}, Bank: "sha384"}, "PCRs 7 of the bank sha384", ""},
		"nothing":             {measured, Binding{}, "no PCRs, no PIN and no policy are named", ""},
		"PCR of the system":   {measured, Binding{PCRs: []int{11}}, "PCRs 11 of the bank sha256", ""},
		"value that is blank": {measured, Binding{PCRs: []int{7}, Values: map[int][]byte{7: make([]byte, 32)}}, "PCRs 7", ""},
		"allowed":             {blank, Binding{PCRs: []int{7}, AllowBlank: true}, "", "nothing was measured into PCRs 7"},
		"nothing, allowed":    {measured, Binding{AllowBlank: true}, "", ""},
		"one of two":          {measured, Binding{PCRs: []int{7, 11}}, "", "nothing was measured into PCRs 11 of the bank sha256"},
		"measured":            {measured, Binding{PCRs: []int{7}}, "", ""},
		"PIN":                 {blank, Binding{PIN: []byte("1")}, "", ""},
	} {
		tpm := open(t, c.device)
		warned := ""
		tpm.Warn = func(text string) { warned += text }
		_, err := tpm.Seal(newSecret(t), c.b)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrBlank) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hinted(err), `blank = "allow"`)) {
			t.Errorf("%s: %v", name, hinted(err))
		}
		if c.warns == "" && warned != "" || !strings.Contains(warned, c.warns) {
			t.Errorf("%s: warned %q", name, warned)
		}
	}
}

// Firmware that measures into one bank of two: sealing goes to that one and says so. One
// that is named stays, and is refused with the name of the other.
func TestSealGoesToTheMeasuredBank(t *testing.T) {
	device := testenv.StartBlankSWTPM(t)
	run(t, device, "tpm2_pcrextend", "7:sha1="+strings.Repeat("ab", 20))
	tpm, secret, warned := open(t, device), newSecret(t), ""
	tpm.Warn = func(text string) { warned += text }
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil || tok.Bank != "sha1" || !strings.Contains(warned, "sealed to the PCR bank sha1: into that of sha256 the firmware does not measure PCRs 7") {
		t.Errorf("bank %q, %v, warned %q", tok.Bank, err, warned)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || string(got) != string(secret) {
		t.Error(err)
	}
	if _, err := tpm.Seal(secret, Binding{PCRs: []int{7}, Bank: "sha256"}); !errors.Is(err, ErrBlank) || !strings.Contains(hinted(err), "the firmware measures into the bank sha1") {
		t.Errorf("with a bank that is named: %s", hinted(err))
	}
	run(t, device, "tpm2_pcrextend", "7:sha1="+strings.Repeat("ab", 20)+",sha256="+strings.Repeat("ab", 32))
	if tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}}); err != nil || tok.Bank != "sha256" {
		t.Errorf("with both: bank %q, %v", tok.Bank, err)
	}
}

// A signed policy whose PCRs are blank, and policies of pcrlock that are not there or that
// blank PCRs meet.
func TestSealRefusesBlankPolicies(t *testing.T) {
	device, v := testenv.StartSWTPM(t), newVendor(t)
	tpm := open(t, device)
	tpm.Search.Signatures = v.sign(t, device, "enter-initrd")
	if _, err := tpm.Seal(newSecret(t), Binding{PublicKey: v.pem(t), PublicKeyPCRs: []int{11}}); !errors.Is(err, ErrBlank) || !strings.Contains(err.Error(), "PCRs 11 of the bank sha256") {
		t.Errorf("signed: %v", err)
	}
	for text, want := range map[string]bool{
		`[]`: true, `[{"pcr":16,"values":["` + zeroPCR + `"]}]`: true,
		`[{"pcr":16,"values":["` + zeroPCR + `"]},{"pcr":7,"values":["` + extendedPCR + `"]}]`: false,
		`[{"pcr":16,"values":["` + extendedPCR + `","` + zeroPCR + `"]}]`:                      true,
	} {
		p, err := parseLockPolicy([]byte(`{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":` + text + `}`))
		if err != nil || p.blank() != want {
			t.Errorf("%s: blank %v, %v", text, p.blank(), err)
		}
	}
	sealer := Sealer{Device: device, Search: Search{Root: t.TempDir()}}
	key := definitions.Key{Type: definitions.KeyTPM2, PCRLock: Auto, Format: definitions.FormatNewest}
	if _, err := sealer.Seal(context.Background(), key); !errors.Is(err, ErrBlank) || !strings.Contains(err.Error(), "there is no policy of systemd-pcrlock here") {
		t.Errorf("pcrlock: %v", err)
	}
	key.PCRs = []int{7}
	warned := ""
	sealer.Warn = func(text string) { warned += text }
	if _, err := sealer.Seal(context.Background(), key); err != nil || !strings.Contains(warned, "no policy of systemd-pcrlock") {
		t.Errorf("pcrlock and a PCR: %v, warned %q", err, warned)
	}
}
