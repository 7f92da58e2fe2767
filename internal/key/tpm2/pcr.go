package tpm2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// maxPCR is the highest PCR of a PC Client TPM.
const maxPCR = 23

// pcrAttempts bounds how often we start over because a PCR was extended in the
// middle; measured boot is over long before that.
const pcrAttempts = 30

// bank is a PCR bank: the name systemd writes into tokens, and its hash.
type bank struct {
	name string
	alg  tpm2.TPMIAlgHash
}

// banks are all that tokens can name, in the order in which Seal chooses.
var banks = []bank{
	{"sha256", tpm2.TPMAlgSHA256},
	{"sha384", tpm2.TPMAlgSHA384},
	{"sha512", tpm2.TPMAlgSHA512},
	{"sha1", tpm2.TPMAlgSHA1},
}

func bankNamed(name string) (bank, error) {
	for _, b := range banks {
		if b.name == name {
			return b, nil
		}
	}
	return bank{}, fmt.Errorf("PCR bank %q is not one of sha256, sha384, sha512, sha1", name)
}

// Banks returns the names of the PCR banks that the TPM keeps, the preferred
// first. A bank in which no PCR is kept is not among them.
func (t *TPM) Banks() ([]string, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapPCRs, PropertyCount: 1}.Execute(t.link)
	if err != nil {
		return nil, failed("ask the TPM for its PCR banks", err)
	}
	assigned, err := rsp.CapabilityData.Data.AssignedPCR()
	if err != nil {
		return nil, failed("ask the TPM for its PCR banks", err)
	}
	var names []string
	for _, b := range banks {
		kept := func(s tpm2.TPMSPCRSelection) bool { return s.Hash == b.alg && len(selected(s)) > 0 }
		if slices.ContainsFunc(assigned.PCRSelections, kept) {
			names = append(names, b.name)
		}
	}
	return names, nil
}

// chooseBank takes the first of the names that the TPM keeps.
func (t *TPM) chooseBank(wanted ...string) (bank, error) {
	active, err := t.Banks()
	if err != nil {
		return bank{}, err
	}
	for _, name := range wanted {
		if slices.Contains(active, name) {
			return bankNamed(name)
		}
	}
	return bank{}, fmt.Errorf("PCR bank %s: %w by this TPM, which keeps %s: name one of those, or switch the bank on (tpm2_pcrallocate, and a reboot)",
		strings.Join(wanted, " or "), ErrUnsupported, strings.Join(active, ", "))
}

// PCRs reads the values of PCRs 0 to 23 in a bank ("sha256", …), all of one
// moment. Values are as long as the bank's hash. Nothing vouches for them: a
// device on the bus could answer in the TPM's place.
func (t *TPM) PCRs(bank string, pcrs []int) (map[int][]byte, error) {
	b, err := bankNamed(bank)
	if err != nil {
		return nil, err
	}
	if err := checkPCRs(pcrs); err != nil {
		return nil, err
	}
	for range pcrAttempts {
		values, steady, err := t.readPCRs(b, pcrs)
		if err != nil || steady {
			return values, err
		}
	}
	return nil, fmt.Errorf("read PCRs %s: they kept changing", pcrList(pcrs))
}

// readPCRs needs several commands, as a response holds eight values; steady says
// that no PCR was extended between them.
func (t *TPM) readPCRs(b bank, pcrs []int) (values map[int][]byte, steady bool, err error) {
	values, steady = map[int][]byte{}, true
	var counter uint32
	for missing := slices.Clone(pcrs); len(missing) > 0; {
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection(b, missing)}.Execute(t.link)
		if err != nil {
			return nil, false, failed("read PCRs", err)
		}
		steady = steady && (len(values) == 0 || rsp.PCRUpdateCounter == counter)
		counter = rsp.PCRUpdateCounter
		before := len(missing)
		if err := collect(values, b, rsp); err != nil {
			return nil, false, err
		}
		missing = slices.DeleteFunc(missing, func(pcr int) bool { return values[pcr] != nil })
		if len(missing) == before {
			return nil, false, fmt.Errorf("read PCRs: the TPM keeps no PCR %s in bank %s", pcrList(missing), b.name)
		}
	}
	return values, steady, nil
}

// collect pairs the digests of a response with the PCRs it says they are of.
func collect(values map[int][]byte, b bank, rsp *tpm2.PCRReadResponse) error {
	hash, err := b.alg.Hash()
	if err != nil {
		return err
	}
	digests := rsp.PCRValues.Digests
	for _, s := range rsp.PCRSelectionOut.PCRSelections {
		for _, pcr := range selected(s) {
			if s.Hash != b.alg || len(digests) == 0 || len(digests[0].Buffer) != hash.Size() {
				return fmt.Errorf("read PCRs: the TPM's answer is not the values of bank %s", b.name)
			}
			values[pcr], digests = digests[0].Buffer, digests[1:]
		}
	}
	return nil
}

// checkPCRs refuses numbers that no selection can hold.
func checkPCRs(pcrs []int) error {
	for _, pcr := range pcrs {
		if pcr < 0 || pcr > maxPCR {
			return fmt.Errorf("PCR %d is not one of 0 to %d", pcr, maxPCR)
		}
	}
	return nil
}

// selection is the TPML_PCR_SELECTION of one bank, always of three bytes, as the
// policy digest is over these bytes. TPM 2.0 Library Part 2, 10.9.7.
func selection(b bank, pcrs []int) tpm2.TPMLPCRSelection {
	bits := make([]byte, (maxPCR+1)/8)
	for _, pcr := range pcrs {
		bits[pcr/8] |= 1 << (pcr % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: b.alg, PCRSelect: bits}}}
}

// selected is the way back, in ascending order.
func selected(s tpm2.TPMSPCRSelection) []int {
	var pcrs []int
	for pcr := range min(maxPCR+1, 8*len(s.PCRSelect)) {
		if s.PCRSelect[pcr/8]&(1<<(pcr%8)) != 0 {
			pcrs = append(pcrs, pcr)
		}
	}
	return pcrs
}

// normalPCRs sorts and drops repetitions, as a set of bits would.
func normalPCRs(pcrs []int) []int {
	set := append([]int{}, pcrs...)
	slices.Sort(set)
	return slices.Compact(set)
}

// pcrList is a set of PCRs as systemd writes it: 0+7.
func pcrList(pcrs []int) string {
	var text []string
	for _, pcr := range pcrs {
		text = append(text, fmt.Sprint(pcr))
	}
	return strings.Join(text, "+")
}
