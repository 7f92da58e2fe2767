package planner

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
)

// After returns the snapshot as it would be when p has been applied, as far as
// that can be told: UUIDs that come from a root hash are stood in for by ones
// derived from the seed, and of what is inside a new partition only its kind,
// label and UUID are there.
func After(p *Plan, snap disk.Snapshot) disk.Snapshot {
	snap.Size = p.Target.Size
	snap.Table = p.Table
	snap.Content = disk.Content{}
	snap.Warnings = nil
	made := contentsMade(p)
	partitions := make([]disk.Partition, 0, len(p.Rows))
	for _, r := range p.Rows {
		if r.Activity == ActivityDelete {
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
func contentsMade(p *Plan) map[int]disk.Content {
	made := make(map[int]disk.Content)
	for _, a := range p.Actions {
		switch a := a.(type) {
		case Create:
			made[a.Number] = contentCreated(a)
		case Verity:
			made[a.Hash] = disk.Content{Kind: "DM_verity_hash", UUID: a.UUID.String()}
		case Reencrypt:
			made[a.Number] = volume(a.Encryption)
		}
	}
	return made
}

func contentCreated(c Create) disk.Content {
	switch {
	case c.Encryption != nil:
		return volume(*c.Encryption)
	case c.Filesystem != nil:
		return disk.Content{Kind: c.Filesystem.Format, Label: c.Filesystem.Label, UUID: c.Filesystem.UUID.String()}
	}
	return disk.Content{}
}

// volume returns a finished LUKS2 volume.
func volume(e Encryption) disk.Content {
	luks := &disk.LUKS{DataOffset: e.DataOffset, Cipher: e.Cipher, KeyBits: e.KeyBits, SectorSize: e.SectorSize}
	for i, k := range e.Keys {
		luks.Keyslots = append(luks.Keyslots, disk.Keyslot{ID: i})
		if k.Type == definitions.KeyTPM2 {
			luks.Tokens = append(luks.Tokens, disk.Token{ID: i, Type: "systemd-tpm2", Keyslots: []int{i}, PCRs: k.PCRs, Bank: k.Bank})
		}
	}
	return disk.Content{Kind: cryptoLUKS, Version: "2", Label: e.Label, UUID: e.UUID.String(), LUKS: luks}
}
