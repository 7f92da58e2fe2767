package planner

import (
	"maps"
	"path"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// After returns the snapshot as it would be when p has been applied, as far as
// that can be told: UUIDs that come from a root hash are stood in for by ones
// derived from the seed, and of what is inside a new partition only its kind,
// label and UUID are there.
func After(p *plan.Plan, snap disk.Snapshot) disk.Snapshot {
	snap.Size = p.Target.Size
	snap.Table = p.Table
	snap.Content = disk.Content{}
	snap.Warnings = nil
	if p.NewTable {
		snap.Member = nil
	}
	made := contentsMade(p, snap)
	partitions := make([]disk.Partition, 0, len(p.Rows))
	for _, r := range p.Rows {
		if r.Activity == plan.ActivityDelete {
			continue
		}
		after := disk.Partition{Entry: r.Entry, Content: r.Content}
		if content, ok := made[r.Number]; ok {
			after.Content = content
		}
		if r.UUIDDerived {
			after.UUID = derive(p.Seed, append([]byte("root-hash"), byte(r.Number), byte(r.Number>>8)))
		}
		partitions = append(partitions, after)
	}
	slices.SortFunc(partitions, func(a, b disk.Partition) int { return a.Number - b.Number })
	snap.Partitions = partitions
	return snap
}

// contentsMade returns what the actions leave in the partitions they write, by
// number.
func contentsMade(p *plan.Plan, snap disk.Snapshot) map[int]disk.Content {
	made := make(map[int]disk.Content)
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.Create:
			made[a.Number] = contentCreated(a)
		case plan.Verity:
			made[a.Hash] = disk.Content{Kind: verityTree, UUID: a.UUID.String()}
		case plan.Enroll:
			old, _ := snap.Partition(a.Number)
			made[a.Number] = enrolled(old.Content, a)
		case plan.Reencrypt:
			made[a.Number] = volume(a.Encryption)
			if a.Room == plan.RoomDetached {
				made[a.Number] = disk.Content{} // nothing in it tells what it is
			}
		}
	}
	return made
}

// HeadersAfter returns what the files of detached headers hold when p has been
// applied, where they held before what is given (Options.Headers).
func HeadersAfter(p *plan.Plan, before map[string]disk.Content) map[string]disk.Content {
	after := maps.Clone(before)
	for _, a := range p.Actions {
		if a, ok := a.(plan.Reencrypt); ok && a.Room == plan.RoomDetached {
			if after == nil {
				after = make(map[string]disk.Content)
			}
			after[a.HeaderPath] = volume(a.Encryption)
		}
	}
	return after
}

// enrolled returns a volume with keys added.
func enrolled(c disk.Content, a plan.Enroll) disk.Content {
	l := *c.LUKS
	l.Keyslots, l.Tokens = slices.Clone(l.Keyslots), slices.Clone(l.Tokens)
	if a.DropExisting {
		l.Keyslots = slices.DeleteFunc(l.Keyslots, func(s disk.Keyslot) bool {
			return !slices.ContainsFunc(l.Tokens, func(t disk.Token) bool { return slices.Contains(t.Keyslots, s.ID) })
		})
	}
	for i, t := range l.Tokens {
		l.Tokens[i].Awaits = slices.DeleteFunc(slices.Clone(t.Awaits), func(name string) bool {
			return slices.ContainsFunc(a.Keys, func(k definitions.Key) bool { return NamesKey([]string{name}, k) })
		})
	}
	for _, k := range a.Keys {
		id := 0
		for _, s := range l.Keyslots {
			id = max(id, s.ID+1)
		}
		addKey(&l, id, k, true)
	}
	c.LUKS = &l
	return c
}

func contentCreated(c plan.Create) disk.Content {
	switch {
	case c.Encryption != nil:
		return volume(*c.Encryption)
	case c.Filesystem != nil:
		return disk.Content{Kind: c.Filesystem.Format, Label: c.Filesystem.Label, UUID: c.Filesystem.UUID.String()}
	}
	return disk.Content{}
}

// volume returns a finished LUKS2 volume.
func volume(e plan.Encryption) disk.Content {
	luks := &disk.LUKS{DataOffset: e.DataOffset, Cipher: e.Cipher, KeyBits: e.KeyBits, SectorSize: e.SectorSize}
	for i, k := range e.Keys {
		addKey(luks, i, k, e.MarkFileKeys)
	}
	if e.MarkKey {
		luks.Tokens = append(luks.Tokens, disk.Token{ID: len(e.Keys), Type: disk.TokenRekeyed, Keyslots: []int{}})
	}
	return disk.Content{Kind: cryptoLUKS, Version: "2", Label: e.Label, UUID: e.UUID.String(), LUKS: luks}
}

// addKey adds a keyslot with its token.
func addKey(l *disk.LUKS, id int, k definitions.Key, mark bool) {
	l.Keyslots = append(l.Keyslots, disk.Keyslot{ID: id})
	token := disk.Token{ID: id, Keyslots: []int{id}}
	switch {
	case k.Type == definitions.KeyTPM2:
		describeTPMKey(&token, k)
	case k.Type == definitions.KeyPKCS11:
		token.Type, token.URI = disk.TokenPKCS11, k.URI
		token.KeySHA256 = k.KeySHA256
	case k.Type == definitions.KeyCommand:
		token.Type, token.Module = disk.TokenCommand, path.Base(k.Program)
	case k.Type == definitions.KeyRecovery:
		token.Type = disk.TokenRecovery
	case mark:
		token.Type = disk.TokenFile
	default:
		return
	}
	l.Tokens = append(l.Tokens, token)
}
