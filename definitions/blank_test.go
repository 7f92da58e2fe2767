package definitions

import (
	"bytes"
	"strings"
	"testing"
)

// A tpm2 key that binds to nothing is refused where that can be seen in the definition, and
// taken where it says so.
func TestBlank(t *testing.T) {
	zero := strings.Repeat("0", 64)
	value := strings.Repeat("ab", 32)
	for keys, want := range map[string]string{
		"":                                 `2:28: "type" is "tpm2", and nothing is named`,
		"pcrs = []":                        `2:28: "type" is "tpm2", and nothing is named`,
		"format = 'newest'":                `2:28: "type" is "tpm2", and nothing is named`,
		"device_key = '/srk'":              `2:28: "type" is "tpm2", and nothing is named`,
		"blank = 'refuse'":                 `2:28: "type" is "tpm2", and nothing is named`,
		"pcrs = ['7:sha256=" + zero + "']": `"pcrs" has only values that PCRs have into which nothing was measured`,
		"pcrs = ['17:sha256=" + strings.Repeat("f", 64) + "']": `"pcrs" has only values`,
		"pcrs = ['0:sha256=" + zero[:63] + "3']":               `"pcrs" has only values`,
		"pcrs = ['7:sha256=" + zero + "'], pin = 'ask'":        `"pcrs" has only values`,
		"blank = 'yes'":                       `"blank" cannot be "yes"`,
		"pcrs = [7]":                          "",
		"pin = 'ask'":                         "",
		"public_key = 'auto'":                 "",
		"pcrlock = 'auto'":                    "",
		"blank = 'allow'":                     "",
		"pcrs = ['7:sha256=" + value + "']":   "",
		"pcrs = [7, '4:sha256=" + zero + "']": "",
		"pcrs = ['7:sha256=" + strings.Repeat("f", 64) + "']": "",
		"pcrs = ['7:sha256=" + zero + "'], blank = 'allow'":   "",
	} {
		_, err := load(map[string]string{"a.toml": "partition.type = 'home'\nencryption.key = [{ type = 'tpm2', " + keys + " }]\n"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "allow")) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
	}
	if _, err := load(map[string]string{"a.toml": "partition.type = 'home'\nencryption.key = [{ type = 'file', blank = 'allow' }]\n"}); err == nil || !strings.Contains(err.Error(), `"blank" belongs to keys of type "tpm2"`) {
		t.Error(err)
	}
}

func TestBlankPCR(t *testing.T) {
	zeroes, ones := make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)
	locality := append(make([]byte, 31), 4)
	for _, c := range []struct {
		pcr   int
		value []byte
		want  bool
	}{
		{7, zeroes, true}, {7, ones, false}, {7, locality, false}, {0, zeroes, true}, {0, locality, true}, {0, append(make([]byte, 31), 5), false},
		{17, ones, true}, {17, zeroes, true}, {22, ones, true}, {23, ones, false}, {23, zeroes, true}, {16, ones, false}, {7, nil, false},
		{7, append(make([]byte, 19), 1), false}, {7, make([]byte, 20), true},
	} {
		if got := BlankPCR(c.pcr, c.value); got != c.want {
			t.Errorf("PCR %d with %x: %v", c.pcr, c.value, got)
		}
	}
}
