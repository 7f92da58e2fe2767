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
	for _, text := range []string{
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"73914\"\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = 73914\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = 73914x\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = x73914\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"x73914\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = [\"73914\"]\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npinn = \"73914\"\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\n\"pin\" = \"73914\"\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"file:73914\"\n",
		"[[encryption.key]]\ntype = \"tpm2\"\npcrs = [7]\npin = \"fd:73914x\"\n",
		"key = [{ type = \"tpm2\", pcrs = [77], pin = \"73914\" }]\n",
		"key = [{ pin = '73914', type = \"tpm2\", pcrs = [77] }]\n",
		"[[encryption.key]]\ntype = \"file\"\npath = \"73914\"\n",
		"existing_key = \"73914\"\n[[encryption.key]]\ntype = \"file\"\n",
	} {
		_, err := Load(Options{Architecture: "x86-64", Sources: []Source{{FS: fstest.MapFS{"10-root.toml": {Data: []byte(begin + text)}}, Dir: "/d"}}})
		if err == nil || strings.Contains(err.Error(), "73914") {
			t.Errorf("%s%v", text, err)
		}
	}
}
