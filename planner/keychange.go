package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// KeyChange is a change of the keys of one volume, made by one write of its header.
type KeyChange struct {
	Add    []definitions.Key
	Remove []int // keyslots
}

// KeyRefusal says why the keys of a volume are not changed. Nothing was written.
type KeyRefusal struct {
	Reason string
	Remedy string // what to do next
}

// Error says why.
func (r *KeyRefusal) Error() string { return r.Reason }

// Hint says what to do next.
func (r *KeyRefusal) Hint() string { return r.Remedy }

// AddKeys decides on adding keys to a volume.
func AddKeys(l *disk.LUKS, keys []definitions.Key) (KeyChange, error) {
	return KeyChange{Add: keys}, changeable(l)
}

// RemoveKey decides on removing a keyslot. The last one that a machine opens by itself
// is refused, and the last that a person can, unless it is forced: the one is missed at
// the next boot, the other when the machine's has failed. The very last is always
// refused.
func RemoveKey(l *disk.LUKS, slot int, force bool) (KeyChange, error) {
	change := KeyChange{Remove: []int{slot}}
	if err := changeableAt(l, slot); err != nil {
		return change, err
	}
	if len(l.Keyslots) == 1 {
		return change, &KeyRefusal{fmt.Sprintf("keyslot %d is the last one: without it nobody could open the volume", slot), "add another key first"}
	}
	personal := forPersons(l, slot)
	alike := func(s disk.Keyslot) bool { return s.ID != slot && forPersons(l, s.ID) == personal }
	if force || slices.ContainsFunc(l.Keyslots, alike) {
		return change, nil
	}
	who := "a machine opens by itself"
	if personal {
		who = "a person can open"
	}
	return change, &KeyRefusal{fmt.Sprintf("keyslot %d is the last one that %s", slot, who), "add another such key first, or give --force"}
}

// RotateKey decides on putting another key into the place of a keyslot's: the one that
// is given, or where it is nil a new secret that is bound as the old one was.
func RotateKey(l *disk.LUKS, slot int, key *definitions.Key) (KeyChange, error) {
	change := KeyChange{Remove: []int{slot}}
	if err := changeableAt(l, slot); err != nil {
		return change, err
	}
	if key == nil {
		same, err := sameBinding(l, slot)
		if err != nil {
			return change, err
		}
		key = &same
	}
	change.Add = []definitions.Key{*key}
	return change, nil
}

// sameBinding returns the key of a definition that binds as a keyslot is bound.
func sameBinding(l *disk.LUKS, slot int) (definitions.Key, error) {
	t, found := tokenOf(l, slot)
	switch {
	case found && literalPCRs(t) && !t.PIN:
		k := definitions.Key{Type: definitions.KeyTPM2, PCRs: t.PCRs, Bank: t.Bank, Format: definitions.FormatWidest}
		if t.SRK {
			k.Format = definitions.FormatNewest
		}
		if !k.Conditional() {
			return k, &KeyRefusal{fmt.Sprintf("keyslot %d is bound to nothing but the TPM, and so would be a key in its place", slot),
				`say with --key what it is to be bound to, or blank = "allow"`}
		}
		return k, nil
	case found && t.Type == disk.TokenPKCS11 && t.URI != "":
		return definitions.Key{Type: definitions.KeyPKCS11, URI: t.URI, KeySHA256: t.KeySHA256}, nil
	case found && t.Type == disk.TokenRecovery:
		return definitions.Key{Type: definitions.KeyRecovery}, nil
	}
	return definitions.Key{}, &KeyRefusal{fmt.Sprintf("keyslot %d does not tell what a key in its place would be", slot), "say it with --key"}
}

// changeable refuses a volume whose header records work that is not done: its keys and
// those of a conversion belong together.
func changeable(l *disk.LUKS) error {
	if l.ReadOnly != "" {
		return &KeyRefusal{l.ReadOnly, "a newer sealpart or cryptsetup may know it"}
	}
	unfinished := func(t disk.Token) bool { return t.Type == disk.TokenWipe }
	if l.Reencryption == nil && !slices.ContainsFunc(l.Tokens, unfinished) {
		return nil
	}
	return &KeyRefusal{"a conversion of the volume is not finished, and its keys are those of the conversion", "\"sealpart apply\" finishes it"}
}

func changeableAt(l *disk.LUKS, slot int) error {
	if !slices.ContainsFunc(l.Keyslots, func(s disk.Keyslot) bool { return s.ID == slot }) {
		return &KeyRefusal{fmt.Sprintf("there is no keyslot %d", slot), "\"sealpart key list\" shows those that are there"}
	}
	return changeable(l)
}

// tokenOf returns the first token for a keyslot.
func tokenOf(l *disk.LUKS, slot int) (disk.Token, bool) {
	i := slices.IndexFunc(l.Tokens, func(t disk.Token) bool { return slices.Contains(t.Keyslots, slot) })
	if i < 0 {
		return disk.Token{}, false
	}
	return l.Tokens[i], true
}

// forPersons reports whether a person can open a keyslot: by a passphrase, a key file or
// a recovery key.
func forPersons(l *disk.LUKS, slot int) bool {
	t, found := tokenOf(l, slot)
	return !found || t.Type == disk.TokenFile || t.Type == disk.TokenRecovery
}
