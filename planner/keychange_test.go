package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// keyed is a volume with the keyslots 0 (TPM), 1 (passphrase), 2 (recovery key) and
// 3 (a token that nobody knows).
func keyed() *disk.LUKS {
	return &disk.LUKS{
		Keyslots: []disk.Keyslot{{ID: 0}, {ID: 1}, {ID: 2}, {ID: 3}},
		Tokens: []disk.Token{
			{ID: 0, Type: "systemd-tpm2", Keyslots: []int{0}, PCRs: []int{4, 7}, Bank: "sha256"},
			{ID: 1, Type: "systemd-recovery", Keyslots: []int{2}}, {ID: 2, Type: "unknown", Keyslots: []int{3}},
		},
	}
}

// without takes keyslots out of a volume.
func without(l *disk.LUKS, slots ...int) *disk.LUKS {
	l.Keyslots = slices.DeleteFunc(l.Keyslots, func(s disk.Keyslot) bool { return slices.Contains(slots, s.ID) })
	return l
}

func TestRemoveKey(t *testing.T) {
	for _, c := range []struct {
		name  string
		l     *disk.LUKS
		slot  int
		force bool
		want  string // of the error
	}{
		{"one of several", keyed(), 1, false, ""},
		{"the machine's last", without(keyed(), 3), 0, false, "the last one that a machine opens by itself"},
		{"a person's last", without(keyed(), 1), 2, false, "the last one that a person can open"},
		{"forced", without(keyed(), 1), 2, true, ""},
		{"the very last", without(keyed(), 1, 2, 3), 0, true, "nobody could open the volume"},
		{"none", keyed(), 7, true, "there is no keyslot 7"},
		{"in conversion", &disk.LUKS{Keyslots: keyed().Keyslots, Reencryption: &disk.Reencryption{}}, 1, true, "conversion"},
		{"to be wiped", &disk.LUKS{Keyslots: keyed().Keyslots, Tokens: []disk.Token{{Type: "sealpart"}}}, 1, true, "conversion"},
	} {
		change, err := RemoveKey(c.l, c.slot, c.force)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && !cmp.Equal(change, KeyChange{Remove: []int{c.slot}}) {
			t.Errorf("%s: %+v", c.name, change)
		}
	}
}

func TestRotateKey(t *testing.T) {
	other := &definitions.Key{Type: definitions.KeyFile, Path: "/k"}
	pin := keyed()
	pin.Tokens[0].PIN = true
	signed, locked := keyed(), keyed()
	signed.Tokens[0].PublicKeyPCRs, locked.Tokens[0].PCRLock = []int{11}, true
	card, unnamed, bare, readOnly := keyed(), keyed(), keyed(), keyed()
	card.Tokens[0] = disk.Token{Type: disk.TokenPKCS11, Keyslots: []int{0}, URI: "pkcs11:token=t", KeySHA256: "aa"}
	unnamed.Tokens[0] = disk.Token{Type: disk.TokenPKCS11, Keyslots: []int{0}}
	bare.Tokens[0].PCRs, readOnly.ReadOnly = nil, "it has a requirement"
	for _, c := range []struct {
		name string
		l    *disk.LUKS
		slot int
		key  *definitions.Key
		want *definitions.Key // nil: refused
		text string           // why
	}{
		{"as it was bound", keyed(), 0, nil, &definitions.Key{Type: definitions.KeyTPM2, PCRs: []int{4, 7}, Bank: "sha256", Format: definitions.FormatWidest}, ""},
		{"recovery key", keyed(), 2, nil, &definitions.Key{Type: definitions.KeyRecovery}, ""},
		{"bound otherwise", keyed(), 0, other, other, ""},
		{"passphrase", keyed(), 1, nil, nil, "keyslot 1 does not tell what a key in its place would be"},
		{"unknown token", keyed(), 3, nil, nil, "keyslot 3 does not tell what a key in its place would be"},
		{"PIN", pin, 0, nil, nil, "keyslot 0 does not tell what a key in its place would be"},
		{"signed policy", signed, 0, nil, nil, "keyslot 0 does not tell what a key in its place would be"},
		{"pcrlock", locked, 0, nil, nil, "keyslot 0 does not tell what a key in its place would be"},
		{"none", keyed(), 9, other, nil, "there is no keyslot 9"},
		{"on a card", card, 0, nil, &definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=t", KeySHA256: "aa"}, ""},
		{"on a card that is not named", unnamed, 0, nil, nil, "keyslot 0 does not tell what a key in its place would be"},
		{"bound to nothing", bare, 0, nil, nil, "keyslot 0 is bound to nothing but the TPM, and so would be a key in its place"},
		{"a volume that is not known", readOnly, 0, nil, nil, "it has a requirement"},
	} {
		change, err := RotateKey(c.l, c.slot, c.key)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && !cmp.Equal(change, KeyChange{Add: []definitions.Key{*c.want}, Remove: []int{c.slot}}) {
			t.Errorf("%s: %+v", c.name, change)
		}
	}
}
