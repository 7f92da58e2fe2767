package modhex

import (
	"bytes"
	"strings"
	"testing"
)

// sample is the text for the bytes 00, 11, 22, … ff, twice.
const sample = "ccbbddee-ffgghhii-jjkkllnn-rrttuuvv-ccbbddee-ffgghhii-jjkkllnn-rrttuuvv"

func TestRandom(t *testing.T) {
	var source []byte
	for i := range 32 {
		source = append(source, byte(i%16*0x11))
	}
	text, err := Random(bytes.NewReader(source))
	if err != nil || string(text.Bytes()) != sample {
		t.Fatalf("%q, %v", text.Bytes(), err)
	}
	if _, err := Random(bytes.NewReader(source[1:])); err == nil || !strings.Contains(err.Error(), "random bytes for a key: unexpected EOF") {
		t.Errorf("a key from too few random bytes: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	bare := strings.ReplaceAll(sample, "-", "")
	for _, typed := range []string{sample, bare, strings.ToUpper(sample), strings.ToUpper(bare), sample + "\n", bare + "\r\n"} {
		if got, err := Normalize([]byte(typed)); err != nil || got == nil || string(got.Bytes()) != sample {
			t.Errorf("%q: %v, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", "\n", "-", sample[1:], sample + "c", " " + sample, strings.Replace(sample, "c", "a", 1),
		strings.Replace(sample, "-", "c", 1), strings.Replace(bare, "c", "-", 1), strings.Replace(sample, "-", "\r", 1), strings.Replace(sample, "-", "\x00", 1)} {
		if got, err := Normalize([]byte(typed)); err != nil || got != nil {
			t.Errorf("%q: %v, %v", typed, got, err)
		}
	}
}

// FuzzNormalize: it takes anything, and what it takes for a key it takes as it gave it.
func FuzzNormalize(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, typed []byte) {
		first, err := Normalize(typed)
		if err != nil || first == nil {
			return
		}
		again, err := Normalize(first.Bytes())
		if err != nil || again == nil || !bytes.Equal(again.Bytes(), first.Bytes()) {
			t.Errorf("%q, then %v, %v", typed, again, err)
		}
		first.Wipe()
		again.Wipe()
	})
}
