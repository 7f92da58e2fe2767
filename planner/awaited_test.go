package planner

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestAwaited: a key that was not there when a volume was made is added once it is there,
// whatever the definition says of what exists; others that are missing are not, and
// without it there is nothing to do.
func TestAwaited(t *testing.T) {
	root := there("root", 2048, 204800)
	second := definitions.Key{Type: definitions.KeyFile, Path: "/second"}
	pkcs := definitions.Key{Type: definitions.KeyPKCS11, URI: "pkcs11:token=luks"}
	waits := func(names ...string) disk.Token {
		return disk.Token{ID: 7, Type: disk.TokenAwaits, Awaits: names}
	}
	const keep, convert, enroll, rekey = definitions.ExistingKeep, definitions.ExistingConvert, definitions.ExistingEnroll, definitions.ExistingRekey
	for name, c := range map[string]struct {
		existing string
		keys     []definitions.Key
		tokens   []disk.Token
		absent   []definitions.Key
		want     []definitions.Key // nil: nothing to do
		kind     string
	}{
		"kept":                 {keep, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2")}, nil, []definitions.Key{tpmKey}, "enroll"},
		"kept, absent":         {keep, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2")}, []definitions.Key{tpmKey}, nil, ""},
		"kept, not awaited":    {keep, []definitions.Key{tpmKey, fileKey}, nil, nil, nil, ""},
		"converted":            {convert, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2")}, nil, []definitions.Key{tpmKey}, "enroll"},
		"converted, removed":   {convert, []definitions.Key{tpmKey, pkcs, fileKey}, []disk.Token{waits("pkcs11 pkcs11:token=luks")}, nil, []definitions.Key{pkcs}, "enroll"},
		"a file":               {convert, []definitions.Key{fileKey, second}, []disk.Token{waits("file /second")}, nil, []definitions.Key{second}, "enroll"},
		"not of the key":       {convert, []definitions.Key{fileKey}, []disk.Token{waits("tpm2")}, nil, nil, ""},
		"added by hand":        {convert, []definitions.Key{tpmKey}, []disk.Token{waits("tpm2"), tpmToken}, nil, nil, ""},
		"enrolled":             {enroll, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), fileToken}, nil, []definitions.Key{tpmKey}, "enroll"},
		"enrolled, absent":     {enroll, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), fileToken}, []definitions.Key{tpmKey}, nil, ""},
		"never had a key":      {enroll, []definitions.Key{tpmKey}, nil, []definitions.Key{tpmKey}, []definitions.Key{tpmKey}, "enroll"},
		"rekeyed":              {rekey, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), rekeyedToken, fileToken}, nil, []definitions.Key{tpmKey}, "enroll"},
		"rekeyed, absent":      {rekey, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), rekeyedToken, fileToken}, []definitions.Key{tpmKey}, nil, ""},
		"rekeyed, one removed": {rekey, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), rekeyedToken}, nil, []definitions.Key{tpmKey}, "enroll"},
		"the vendor waited":    {rekey, []definitions.Key{tpmKey, fileKey}, []disk.Token{waits("tpm2"), fileToken}, nil, []definitions.Key{tpmKey, fileKey}, "reencrypt"},
	} {
		source := ""
		if c.existing == enroll || c.existing == rekey {
			source = vendorKey
		}
		o := options(EmptyRefuse)
		o.Absent = c.absent
		volume := luks(root, 1)
		for _, token := range c.tokens {
			if !isNote(token) { // the bare keyslot is that token's
				volume = luks(root, 0, token)
			}
		}
		for _, token := range c.tokens {
			if isNote(token) {
				volume.Content.LUKS.Tokens = append(volume.Content.LUKS.Tokens, token)
			}
		}
		defs, snap := named(volumeAs(c.existing, source, c.keys...)), gpt(disk.GiB, volume)
		p := planned(t, defs, snap, o)
		var got []definitions.Key
		var kind string
		for _, a := range p.Actions {
			switch a := a.(type) {
			case plan.Enroll:
				got, kind = a.Keys, a.Kind()
				if a.ExistingKey != "" && slices.Contains([]string{"enrolled", "rekeyed", "rekeyed, one removed"}, name) {
					t.Errorf("%s: it wants the vendor's key, which is gone", name)
				}
			case plan.Reencrypt:
				got, kind = a.Encryption.Keys, a.Kind()
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" || kind != c.kind {
			t.Errorf("%s: %q, -want +got:\n%s", name, kind, diff)
		}
		rest(t, defs, p, snap, o)
	}
}

// rekeyedToken marks a volume that has been rekeyed.
var rekeyedToken = disk.Token{ID: 6, Type: disk.TokenRekeyed, Keyslots: []int{}}

// isNote reports whether a token is for no keyslot.
func isNote(t disk.Token) bool { return t.Type == disk.TokenAwaits || t.Type == disk.TokenRekeyed }
