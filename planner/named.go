package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// unnamed reports whether a key is one of a token that a boot does not enrol: its label is
// all that is known of it, and anybody can put in a token with that label. What is made on
// the spot has no fingerprint yet; where that is safe is for the module to say.
func (o Options) unnamed(k definitions.Key) bool {
	return o.Boot && k.Type == definitions.KeyPKCS11 && k.KeySHA256 == "" && !k.Provision
}

// howToName says what to do for an unnamed key.
const howToName = `say key_sha256 of its public key in the definition: "sealpart key list" prints it, and "pkcs11-tool --read-object --type pubkey | sha256sum" makes it`

// checkNamed refuses a plan that would enrol an unnamed key, and warns of volumes that wait
// for one. Where a partition may stay as it is, it is left when the key is sealed.
func (l *layout) checkNamed(p *plan.Plan) error {
	byNumber := l.byNumber()
	for _, a := range p.Actions {
		keys, leave := enrols(a)
		i := slices.IndexFunc(keys, l.opts.unnamed)
		if i < 0 || leave {
			continue
		}
		return &Refusal{
			Definition: byNumber[a.Partition()].def.File, Partition: a.Partition(), Remedy: howToName,
			Reason: fmt.Sprintf("the key %s would be enrolled in a boot, and its definition does not say which key that is, only its label", keys[i].URI),
		}
	}
	for _, part := range l.parts {
		if part.old == nil || part.foreign() || part.def.Encryption == nil || part.old.Content.LUKS == nil {
			continue
		}
		for _, k := range part.def.Encryption.Keys {
			if l.opts.unnamed(k) && awaits(part.old.Content.LUKS, k) {
				l.notes = append(l.notes, plan.Note{Definition: part.def.Name, Warning: true, Text: fmt.Sprintf(
					"partition %d waits for the key %s, which is not enrolled in a boot: %s", part.number, k.URI, howToName)})
			}
		}
	}
	return nil
}

// enrols returns the keys that an action adds, and whether its partition may stay as it is
// where one cannot be used.
func enrols(a plan.Action) (keys []definitions.Key, leave bool) {
	switch a := a.(type) {
	case plan.Create:
		if a.Encryption != nil {
			return a.Encryption.Keys, a.Encryption.Unavailable == definitions.UnavailableLeave
		}
	case plan.Reencrypt:
		if !a.Resume {
			return a.Encryption.Keys, a.Encryption.Unavailable == definitions.UnavailableLeave
		}
	case plan.Enroll:
		return a.Keys, a.Unavailable == definitions.UnavailableLeave
	}
	return nil, false
}
