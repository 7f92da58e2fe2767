package planner

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// bound says which keys of a definition a volume has.
type bound struct {
	missing []definitions.Key
	slots   []int // keyslots that are for keys of the definition
}

// bindKeys finds the keyslots of the definition's keys. A token serves one key only.
func bindKeys(keys []definitions.Key, l *disk.LUKS) bound {
	var b bound
	used := make([]bool, len(l.Tokens))
	for _, k := range keys {
		found, gone := false, k.Type == definitions.KeyFile && awaits(l, k)
		for i, t := range l.Tokens {
			if !gone && !used[i] && boundAs(t, k) && opensSlot(t, l) {
				used[i], found = true, true
				b.slots = append(b.slots, t.Keyslots...)
				break
			}
		}
		if !found {
			b.missing = append(b.missing, k)
		}
	}
	return b
}

// boundAs reports whether a token binds its keyslots as a key of a definition says.
func boundAs(t disk.Token, k definitions.Key) bool {
	switch k.Type {
	case definitions.KeyFile:
		return t.Type == disk.TokenFile
	case definitions.KeyPKCS11:
		return t.Type == disk.TokenPKCS11 && t.URI == k.URI && (k.KeySHA256 == "" || t.KeySHA256 == "" || k.KeySHA256 == t.KeySHA256)
	case definitions.KeyCommand:
		return t.Type == disk.TokenCommand && t.Module == path.Base(k.Program)
	case definitions.KeyRecovery:
		return t.Type == disk.TokenRecovery
	}
	return boundToTPM(t, k)
}

// literalPCRs reports whether a token binds to a TPM in no way that a definition cannot
// say: there are signed policies and those of systemd-pcrlock besides.
func literalPCRs(t disk.Token) bool {
	return t.Type == disk.TokenTPM2 && len(t.PublicKeyPCRs) == 0 && !t.PCRLock
}

// opensSlot reports whether a token has keyslots and all of them are there.
func opensSlot(t disk.Token, l *disk.LUKS) bool {
	lacking := func(id int) bool {
		return !slices.ContainsFunc(l.Keyslots, func(s disk.Keyslot) bool { return s.ID == id })
	}
	return len(t.Keyslots) > 0 && !slices.ContainsFunc(t.Keyslots, lacking)
}

// others returns the keyslots that are for no key of the definition.
func (b bound) others(l *disk.LUKS) (slots []int) {
	for _, s := range l.Keyslots {
		if !slices.Contains(b.slots, s.ID) {
			slots = append(slots, s.ID)
		}
	}
	return slots
}

// lacking returns the keys of the definition that a volume lacks. A keyslot without
// any token is taken for that of a file key, unless there is an existing key to be
// replaced: then it is taken for that one's.
func lacking(e *definitions.Encryption, l *disk.LUKS) []definitions.Key {
	b := bindKeys(e.Keys, l)
	if e.ExistingKey != "" {
		return b.missing
	}
	spare := 0
	for _, s := range l.Keyslots {
		if !slices.ContainsFunc(l.Tokens, func(t disk.Token) bool { return slices.Contains(t.Keyslots, s.ID) }) {
			spare++
		}
	}
	var missing []definitions.Key
	for _, k := range b.missing {
		if k.Type == definitions.KeyFile && spare > 0 && !awaits(l, k) {
			spare--
			continue
		}
		missing = append(missing, k)
	}
	return missing
}

// rekeyed reports whether the key of a volume was made for its owner, by what a mark in its
// header says (see Mark). Which keyslots it has says nothing: they are the owner's to change.
func rekeyed(l *disk.LUKS) bool {
	return slices.ContainsFunc(l.Tokens, func(t disk.Token) bool { return t.Type == disk.TokenRekeyed })
}

// noteKeys says where a volume and its definition disagree in a way that the definition
// does not ask to be changed. One in conversion is finished all the same: it was begun
// with keys that were proven, and to leave it half encrypted for a definition that was
// changed since would only keep the machine from booting.
func noteKeys(e *definitions.Encryption, c disk.Content) string {
	b, is := bindKeys(e.Keys, c.LUKS), "is encrypted, but has"
	if plan.InConversion(c) {
		is = "is in conversion, which is finished with the keys that it was begun with; it has"
	}
	if e.SecureKey != nil && !plan.UnderSecureKey(c.LUKS.Cipher) {
		return "is encrypted, but its volume key is no secure key; \"zkey-cryptsetup convert\" would make it one"
	}
	switch e.Existing {
	case definitions.ExistingConvert, definitions.ExistingRekey:
		missing := slices.DeleteFunc(b.missing, func(k definitions.Key) bool { return k.Type == definitions.KeyFile || awaits(c.LUKS, k) })
		if unasked := e.Existing == definitions.ExistingRekey && plan.InConversion(c); len(missing) > 0 && !unasked {
			return fmt.Sprintf("%s no key as the definition wants it (%s); existing = %q would add it",
				is, spokenKeys(missing), definitions.ExistingEnroll)
		}
	case definitions.ExistingEnroll:
		if others := b.others(c.LUKS); e.ExistingKey != "" && !plan.InConversion(c) && len(others) > 0 {
			return fmt.Sprintf("has all the keys of the definition, and keyslots %v besides", others)
		}
	}
	return ""
}

// spokenKeys names keys by what they are bound to.
func spokenKeys(keys []definitions.Key) string {
	var names []string
	for _, k := range keys {
		name := k.Type
		if len(k.PCRs) > 0 {
			name += fmt.Sprintf(" with PCRs %v", k.PCRs)
			if k.Bank != "" {
				name += " (" + k.Bank + ")"
			}
		}
		if k.PublicKey != "" {
			name += fmt.Sprintf(" with signed PCRs %v", k.PublicKeyPCRs)
		}
		if k.PCRLock != "" {
			name += " with pcrlock"
		}
		if k.URI != "" {
			name += " " + k.URI
		}
		if k.Program != "" {
			name += " " + k.Program
		}
		if k.PIN != "" {
			name += " and a PIN"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
