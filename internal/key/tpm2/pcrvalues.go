package tpm2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// valuesField is a field of ours in a token: the values that its PCRs had at sealing, by
// number. systemd and cryptsetup pass it over. Nothing depends on it; it is for people, who
// are to learn which PCR has changed.
const valuesField = "sealpart_pcr_values"

// noteValues writes the values of the PCRs into the token.
func (tok *Token) noteValues(values map[int][]byte) error {
	if len(values) == 0 {
		return nil
	}
	texts := map[int]hexBytes{}
	for pcr, value := range values {
		texts[pcr] = value
	}
	raw, err := json.Marshal(texts)
	tok.Extra = map[string]json.RawMessage{valuesField: raw}
	return err
}

// notedValues returns what noteValues wrote, nil where there is nothing, or where it is
// not what the token's policy was made of: anybody can write into a header.
func (tok Token) notedValues(want terms, policy []byte) map[int][]byte {
	var texts map[int]hexBytes
	if json.Unmarshal(tok.Extra[valuesField], &texts) != nil {
		return nil
	}
	values := map[int][]byte{}
	for pcr, value := range texts {
		values[pcr] = value
	}
	if checkPCRs(slices.Collect(maps.Keys(values))) != nil {
		return nil
	}
	digest, err := want.digest(values)
	if err != nil || !bytes.Equal(digest, policy) {
		return nil
	}
	return values
}

// spokenChanges says which PCRs differ between two moments, "" where none does.
func spokenChanges(b bank, then, now map[int][]byte) string {
	var changes []string
	for _, pcr := range slices.Sorted(maps.Keys(then)) {
		if !bytes.Equal(then[pcr], now[pcr]) {
			changes = append(changes, fmt.Sprintf("PCR %d (%s) was %x at sealing and is %x now", pcr, b.name, then[pcr], now[pcr]))
		}
	}
	return strings.Join(changes, ", ")
}
