package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
)

// TestAbsentKeys: what is not on the machine is known without asking for a PIN, and in a
// boot what somebody would have to type counts as absent too.
func TestAbsentKeys(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	all := []definitions.Key{
		{Type: definitions.KeyTPM2}, {Type: definitions.KeyTPM2, PIN: "ask"}, {Type: definitions.KeyTPM2, PIN: "file:/pin"},
		{Type: definitions.KeyFile, Path: nowhere}, {Type: definitions.KeyFile, Path: "/dev/null"}, {Type: definitions.KeyFile},
		{Type: definitions.KeyCommand, Program: nowhere}, {Type: definitions.KeyCommand, Program: "/bin/sh"},
		{Type: definitions.KeyPKCS11, URI: "pkcs11:token=nobody", Module: nowhere},
		{Type: definitions.KeyRecovery},
	}
	waiting := disk.Snapshot{Partitions: []disk.Partition{{Content: disk.Content{LUKS: &disk.LUKS{Tokens: []disk.Token{{Awaits: []string{"pkcs11 pkcs11:token=nobody"}}}}}}}}
	for name, c := range map[string]struct {
		device   string
		machine  bool // it has a TPM
		boot     bool
		snapshot disk.Snapshot
		want     []int
	}{
		"no TPM":            {"auto", false, false, disk.Snapshot{}, []int{0, 1, 2, 3, 5, 6}},
		"a TPM":             {"auto", true, false, disk.Snapshot{}, []int{3, 5, 6}},
		"another, none":     {"swtpm:path=" + nowhere, true, false, disk.Snapshot{}, []int{0, 1, 2, 3, 5, 6}},
		"another":           {testenv.StartSWTPM(t), false, false, disk.Snapshot{}, []int{3, 5, 6}},
		"awaited token":     {"auto", true, false, waiting, []int{3, 5, 6, 8}},
		"in a boot":         {"auto", true, true, disk.Snapshot{}, []int{1, 3, 5, 6}},
		"in a boot, a card": {"auto", true, true, waiting, []int{1, 3, 5, 6, 8}},
	} {
		w := &world{
			definitions: []definitions.Definition{{}, {Encryption: &definitions.Encryption{Keys: all}}},
			facts:       host.Facts{TPM2: c.machine}, keys: &keyFlags{tpm2: c.device}, boot: c.boot,
		}
		var got []int
		absent, err := w.absentKeys(t.Context(), c.snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range absent {
			got = append(got, slices.IndexFunc(all, func(other definitions.Key) bool {
				return k.Type == other.Type && k.PIN == other.PIN && k.Path == other.Path && k.Program == other.Program
			}))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: absent are %v, want %v", name, got, c.want)
		}
	}
}
