package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestPINIsNotEchoed: a PIN in the wrong place, be it behind a flag that does not exist, is in
// no error.
func TestPINIsNotEchoed(t *testing.T) {
	t.Chdir(t.TempDir())
	const form = `--pin must be "file:PATH", "credential:NAME", "fd:N", "socket:PATH" or "ask"`
	image := filepath.Join(t.TempDir(), "disk.img#1")
	for line, want := range map[string]string{
		"open|--pin=73914|x|IMAGE":                                                    form,
		"open|--pin|73914|x|IMAGE":                                                    form,
		"apply|--pin=tpm2=73914|disk.img":                                             form,
		"export|--pin=pkcs11=73914|IMAGE|x":                                           form,
		"key|test|--pin=tmp2=73914|IMAGE":                                             form,
		"key|rotate|--pin=file:73914|IMAGE|0":                                         "--pin must have an absolute path",
		"key|add|--pin=fd:73914x|IMAGE":                                               "--pin has what is no file descriptor",
		"open|-p73914|x|IMAGE":                                                        "unknown flag: -p",
		"open|-pin=73914|x|IMAGE":                                                     "unknown flag: -p",
		"open|--pim=73914|x|IMAGE":                                                    "unknown flag: --pim",
		"key|list|--pin=73914|IMAGE":                                                  "unknown flag: --pin",
		"open|--pin|ask|73914|x|IMAGE":                                                "open takes 2 argument(s), got 3",
		`key|add|--key|type = "tpm2", pcrs = [7], pin = "73914"|IMAGE`:                `"pin" must be "file:PATH"`,
		`key|add|--key|type = "tpm2", pcrs = [7], pin = 73914|IMAGE`:                  `"pin" must be a string`,
		`key|rotate|--key|type = "tpm2", pcrs = [7], pni = "73914"|IMAGE|0`:           `unknown key "pni"`,
		`key|add|--key|type = "pkcs11", uri = "pkcs11:token=x?pin-value=73914"|IMAGE`: `"uri" says what its PIN is`,
	} {
		var out, diagnostics bytes.Buffer
		code := Main(t.Context(), strings.Split(strings.ReplaceAll(line, "IMAGE", image), "|"), &out, &diagnostics)
		if said := out.String() + diagnostics.String(); code == exitDone || !strings.Contains(said, want) || strings.Contains(said, "73914") {
			t.Errorf("%s: exit code %d, not %q\n%s", line, code, want, said)
		}
	}
}
