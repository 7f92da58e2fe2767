package definitions

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestSecretsAreNotEchoed: a secret in the place of a key source is in no error, whatever
// is wrong with the line.
func TestSecretsAreNotEchoed(t *testing.T) {
	const begin = "partition = { type = \"root\" }\n[encryption]\nexisting = \"convert\"\n"
	for text, want := range map[string]string{
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"73914\"\n":                               "must be \"file:PATH",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = 73914\n":                                   "must be a string, not an integer",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = 73914x\n":                                  "not TOML: expected a top-level item",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = x73914\n":                                  "not TOML: expected value",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"x73914\n":                                "strings cannot contain newlines",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = [\"73914\"]\n":                             "must be a string, not an array",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npinn = \"73914\"\n":                              "unknown key \"pinn\"",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\n\"pin\" = \"73914\"\n":                           "must be \"file:PATH",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"file:73914\"\n":                          "must have an absolute path",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"fd:73914x\"\n":                           "is no file descriptor",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npni = \"73914\"\n":                               "unknown key \"pni\"",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npim = 73914\n":                                   "unknown key \"pim\"",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npassword = \"73914\"\n":                          "unknown key \"password\"",
		"exsting_key = \"73914\"\n[[encryption.key]]\ntype = \"file\"\n":                                   "unknown key \"exsting_key\"",
		"[[encryption.key]]\ntype = \"pkcs11\"\nuri = \"pkcs11:token=x?pin-value=73914\"\n":                "uri\" says what its PIN is",
		"[[encryption.key]]\ntype = \"pkcs11\"\nuri = \"pkcs11:pin-value=73914;token=x\"\npin = \"ask\"\n": "uri\" has the attribute",
		"[[encryption.key]]\ntype = \"pkcs11\"\nuri = \"pkcs11:token=x, pin = 73914\n":                     "strings cannot contain newlines",
		"key = [{ type = \"tpm2\", pcrs = [77], pin = \"73914\" }]\n":                                      "pcrs\" has PCR 77",
		"key = [{ pin = '73914', type = \"tpm2\", pcrs = [77] }]\n":                                        "pcrs\" has PCR 77",
		"[[encryption.key]]\ntype = \"file\"\npath = \"73914\"\n":                                          "path\" must be an absolute path",
		"existing_key = \"73914\"\n[[encryption.key]]\ntype = \"file\"\n":                                  "existing_key\" must be \"file:PATH",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = '''73914\n":                                "unexpected EOF",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"\"\"73914\n":                             "unexpected EOF",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"\"\"\n73914\n":                           "unexpected EOF",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"\"\"\n73914\n\"\"\"\n":                   "\"pin\" has control character 0x0a",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = { x = \"73914\" }\n":                       "must be a string, not a table",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin.x = \"73914\"\n":                             "must be a string, not a table",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\n\"pin\" . x = \"73914\"\n":                       "must be a string, not a table",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = [\"a\", \"73914\"]\n":                      "must be a string, not an array",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = my 73914\n":                                "not TOML",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"my\\\"73914\"\n":                         "must be \"file:PATH",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"my\"73914\n":                             "not TOML",
		"[encryption.existing_key]\nx = \"73914\"\n":                                                       "existing_key",
		"existing_key.x = \"73914\"\n[[encryption.key]]\ntype = \"file\"\n":                                "must be a string, not a table",
	} {
		_, err := Load(Options{Architecture: "x86-64", Sources: []Source{{FS: fstest.MapFS{"10-root.toml": {Data: []byte(begin + text)}}, Dir: "/d"}}})
		if err == nil || strings.Contains(err.Error(), "73914") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s%v, not %q", text, err, want)
		}
	}
}
