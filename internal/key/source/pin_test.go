package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A pipe gives a PIN once; it is wanted for sealing and for proving, and never with the
// end of its line.
func TestPINIsReadOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("päss 1234\n"); errors.Join(err, w.Close()) != nil {
		t.Fatal(err)
	}
	var pins PINs
	for range 2 {
		pin, err := pins.Read(t.Context(), fmt.Sprintf("fd:%d", r.Fd()), true)
		if err != nil || string(pin.Bytes()) != "päss 1234" {
			t.Fatal(err)
		}
		pin.Wipe()
	}
}

// The PIN of a key that is there and that of a new one are two, from one source too.
func TestOldAndNewPIN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	var pins PINs
	for _, fresh := range []bool{false, true} {
		write(t, path, fmt.Appendf(nil, "pin %v", fresh))
		if pin, err := pins.Read(t.Context(), "file:"+path, fresh); err != nil || string(pin.Bytes()) != fmt.Sprintf("pin %v", fresh) {
			t.Error(err)
		}
	}
}

func TestPINRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	for _, content := range []string{"\n", "12\n34", "12\x0034", "1234\n\n"} {
		write(t, path, []byte(content))
		_, err := new(PINs).Read(t.Context(), "file:"+path, true)
		if err == nil || !strings.Contains(err.Error(), "one line of text") || strings.Contains(strings.ReplaceAll(err.Error(), path, ""), "12") {
			t.Errorf("%q: %v", content, err)
		}
	}
}
