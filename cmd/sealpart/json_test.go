package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestJSONSteersNoTerminal: what does not print is escaped, and says the same.
func TestJSONSteersNoTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"a\x7fb":                   `a\u007fb`,
		"\u009b2J\u0085":           `\u009b2J\u0085`,
		"\u202eabc\u200b":          `\u202eabc\u200b`,
		"\U000e0001":               `\udb40\udc01`,
		"\x1b[2J\n":                `\u001b[2J\n`,
		"\u00e9\u00df\u20ac \\ \"": `éß€ \\ \"`,
	} {
		var out bytes.Buffer
		if err := jsonTo(&out).Encode([]string{text}); err != nil || out.String() != `["`+want+"\"]\n" {
			t.Errorf("%q: %s, %v", text, &out, err)
		}
		var back []string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back[0] != text {
			t.Errorf("%q reads back as %q, %v", text, back, err)
		}
	}
	var out bytes.Buffer
	if err := jsonTo(&out).Encode(json.RawMessage("\"\x9b2J\"")); err != nil || out.String() != "\"\\ufffd2J\"\n" {
		t.Errorf("what is no UTF-8: %q, %v", &out, err)
	}
}
