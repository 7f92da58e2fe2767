package planner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// What definitions leave open of TPM keys is decided in the plan, with the reason.
func TestSettleKeys(t *testing.T) {
	tpm := func(k definitions.Key) definitions.Key { k.Type = definitions.KeyTPM2; return k }
	const widest, newest, auto = definitions.FormatWidest, definitions.FormatNewest, definitions.AutoPath
	none, both := &Policies{}, &Policies{PublicKey: "/etc/pub.pem", PCRLock: "/var/pcrlock.json"}
	broken := func(k definitions.Key, setting string) *Policies {
		p := *both
		p.Unusable = []Unusable{{Key: tpm(k), Setting: setting, Reason: "no such file"}}
		return &p
	}
	pcrs := []int{7}
	old, now := host.Opener{Name: host.OpenerSystemd, Version: 252}, host.Opener{Name: host.OpenerSystemd, Version: 257}
	ours := host.Opener{Name: host.OpenerSealpart, Initramfs: true}
	for name, c := range map[string]struct {
		key      definitions.Key
		policies *Policies
		opener   host.Opener
		root     bool
		want     definitions.Key
		notes    string // what they say; "!": it is refused
	}{
		"unknown":                    {tpm(definitions.Key{PCRs: pcrs}), none, host.Opener{}, true, tpm(definitions.Key{PCRs: pcrs, Format: widest}), "widest form: it is not known"},
		"old systemd":                {tpm(definitions.Key{PCRs: pcrs}), none, old, true, tpm(definitions.Key{PCRs: pcrs, Format: widest}), "widest form: systemd 252 opens it later, and the newest takes systemd 254"},
		"new systemd":                {tpm(definitions.Key{PCRs: pcrs}), none, now, false, tpm(definitions.Key{PCRs: pcrs, Format: newest}), "newest form: systemd 257 opens it later"},
		"new systemd and a PIN":      {tpm(definitions.Key{PIN: "ask"}), none, now, false, tpm(definitions.Key{PIN: "ask", Format: widest}), "who sits on the bus"},
		"ours and a PIN":             {tpm(definitions.Key{PIN: "ask"}), none, ours, true, tpm(definitions.Key{PIN: "ask", Format: newest}), "newest form: sealpart opens it"},
		"not from an initramfs":      {tpm(definitions.Key{PCRs: pcrs}), none, ours, false, tpm(definitions.Key{PCRs: pcrs, Format: widest}), "it is not known"},
		"as it is said":              {tpm(definitions.Key{PCRs: pcrs, Format: widest}), none, now, true, tpm(definitions.Key{PCRs: pcrs, Format: widest}), ""},
		"newer than systemd":         {tpm(definitions.Key{PCRs: pcrs, Format: newest}), none, old, true, tpm(definitions.Key{PCRs: pcrs, Format: newest}), "takes systemd 254, and systemd 252 opens it later"},
		"policies":                   {tpm(definitions.Key{PublicKey: auto, PCRLock: auto, Format: newest}), both, now, true, tpm(definitions.Key{PublicKey: "/etc/pub.pem", PCRLock: "/var/pcrlock.json", Format: newest}), ""},
		"policies elsewhere":         {tpm(definitions.Key{PCRLock: auto, Format: newest}), nil, now, true, tpm(definitions.Key{PCRLock: auto, Format: newest}), ""},
		"no policy":                  {tpm(definitions.Key{PCRLock: auto, Format: newest}), none, now, true, definitions.Key{}, "!would bind to nothing: there is no policy of systemd-pcrlock here"},
		"no policy, allowed":         {tpm(definitions.Key{PCRLock: auto, Format: newest, Blank: definitions.BlankAllow}), none, now, true, tpm(definitions.Key{Format: newest, Blank: definitions.BlankAllow}), "is not bound to a policy"},
		"no policy, but PCRs":        {tpm(definitions.Key{PCRLock: auto, PCRs: pcrs, Format: newest}), none, now, true, tpm(definitions.Key{PCRs: pcrs, Format: newest}), "is not bound to a policy"},
		"a policy that is not there": {tpm(definitions.Key{PCRLock: "/gone.json", PCRs: pcrs, Format: newest}), broken(definitions.Key{PCRLock: "/gone.json", PCRs: pcrs, Format: newest}, "pcrlock"), now, true, definitions.Key{}, `!key 1 (tpm2): "pcrlock": no such file`},
		"one that auto stands for":   {tpm(definitions.Key{PCRLock: auto, Format: newest}), broken(definitions.Key{PCRLock: "/var/pcrlock.json", Format: newest}, "pcrlock"), now, true, definitions.Key{}, `!key 1 (tpm2): "pcrlock": no such file`},
		"what another key names":     {tpm(definitions.Key{PCRLock: "/var/pcrlock.json", Format: newest}), broken(definitions.Key{PCRLock: "/gone.json", Format: newest}, "pcrlock"), now, true, tpm(definitions.Key{PCRLock: "/var/pcrlock.json", Format: newest}), ""},
		"a signer that is not there": {tpm(definitions.Key{PublicKey: "/gone.pem", Format: newest}), broken(definitions.Key{PublicKey: "/gone.pem", Format: newest}, "public_key"), now, true, definitions.Key{}, `!key 1 (tpm2): "public_key": no such file`},
		"no signer":                  {tpm(definitions.Key{PublicKey: auto, PCRs: pcrs, Format: newest}), none, now, true, definitions.Key{}, `!public_key = "auto"`},
		"another kind":               {fileKey, none, now, true, fileKey, ""},
	} {
		given := []definitions.Key{c.key}
		got, notes, err := SettleKeys(given, c.policies, c.opener, c.root)
		if text, refused := strings.CutPrefix(c.notes, "!"); refused {
			var refusal *KeyRefusal
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, text) || refusal.Remedy == "" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		said := strings.Join(notes, "\n")
		if err != nil || !strings.Contains(said, c.notes) || (c.notes == "") != (said == "") {
			t.Errorf("%s: %v, notes %q", name, err, said)
		}
		if diff := cmp.Diff([]definitions.Key{c.want}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if diff := cmp.Diff(c.key, given[0]); diff != "" {
			t.Errorf("%s: the definition's key has changed:\n%s", name, diff)
		}
	}
}

// A plan refuses a key that would bind to nothing, by the name of its definition, but
// finishes a conversion that was begun.
func TestPlanRefusesBlankKey(t *testing.T) {
	key := definitions.Key{Type: definitions.KeyTPM2, PCRLock: definitions.AutoPath, Format: definitions.FormatNewest}
	o := options(EmptyRefuse)
	o.Policies = &Policies{}
	root := there("root", 2048, 204800)
	defs := named(volumeAs(definitions.ExistingEnroll, vendorKey, key))
	for places, at := range map[*[]definitions.Places]string{
		{}:                                   defs[0].File,
		{{"pcrlock": "/d/10-root.toml:9:5"}}: "/d/10-root.toml:9:5",
	} {
		defs[0].Encryption.Places = *places
		_, err := Make(defs, gpt(disk.GiB, luks(root, 1)), host.Facts{}, o)
		var refusal *Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "would bind to nothing") || refusal.Partition != 1 || refusal.Definition != at {
			t.Errorf("%v", err)
		}
	}
}
