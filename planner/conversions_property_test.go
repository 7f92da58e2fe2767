package planner

import (
	"slices"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
	"pgregory.net/rapid"
)

// TestConversionsComeToRest: on disks full of file systems and volumes, whatever the
// definitions do with them, one run brings the disk to rest.
func TestConversionsComeToRest(t *testing.T) {
	for range 10 { // most worlds drawn have something that is refused
		rapid.Check(t, func(t *rapid.T) { checkRest(t, drawVolumes) })
	}
}

// drawVolumes draws a disk whose partitions are each of another type, and for most
// of them a definition that does something with what they hold.
func drawVolumes(t *rapid.T) ([]definitions.Definition, disk.Snapshot, Options) {
	const sector, most = disk.Bytes(512), int64(160 << 11)
	var partitions []disk.Partition
	var defs []definitions.Definition
	next := int64(2048)
	for _, typ := range []string{"root", "home", "srv", "var"}[:rapid.IntRange(1, 4).Draw(t, "partitions")] {
		start := next + 8*rapid.Int64Range(0, most/8/4).Draw(t, "gap")
		p := there(typ, start, 8*rapid.Int64Range(1, most/8).Draw(t, "length"))
		next = int64(p.End() / sector)
		partitions = append(partitions, drawContent(t, p))
		if rapid.IntRange(0, 4).Draw(t, "foreign?") == 0 {
			continue
		}
		d := want(typ, encrypted)
		drawExisting(t, &d, partitions[len(partitions)-1].Content)
		d.Partition.Weight = rapid.SampledFrom([]uint32{0, 1000}).Draw(t, "weight")
		if plan.InConversion(partitions[len(partitions)-1].Content) {
			d.Partition.Weight = 0 // what is in conversion cannot grow, and would next time
		}
		defs = append(defs, d)
	}
	if rapid.Bool().Draw(t, "one more") {
		defs = append(defs, want("tmp", sizes(disk.Bytes(next)*sector/8, 0), priority(rapid.Int32Range(0, 1).Draw(t, "priority"))))
	}
	size := disk.Bytes(next)*sector + rapid.SampledFrom([]disk.Bytes{20 * disk.KiB, 5 * disk.MiB, 40 * disk.MiB, disk.GiB}).Draw(t, "rest")
	snap := gpt(size.RoundUp(4096), partitions...)
	if rapid.IntRange(0, 4).Draw(t, "MBR") == 0 && len(defs) > 0 {
		defs = toMBR(&snap, defs)
	}
	return named(defs...), snap, options(EmptyRefuse)
}

// drawContent puts something into a partition: nothing, a file system, or a volume,
// which may be in the middle of a conversion.
func drawContent(t *rapid.T, p disk.Partition) disk.Partition {
	switch rapid.IntRange(0, 8).Draw(t, "content") {
	case 0:
		return p
	case 1, 2, 3:
		tokens := rapid.SliceOfN(rapid.SampledFrom([]disk.Token{tpmToken, fileToken}), 0, 2).Draw(t, "tokens")
		p = luks(p, rapid.IntRange(0, 2).Draw(t, "keyslots"), tokens...)
		if names := rapid.SampledFrom([][]string{nil, nil, {"tpm2"}, {AwaitName(fileKey)}, {"tpm2", AwaitName(fileKey)}}).Draw(t, "awaits"); names != nil {
			l := p.Content.LUKS
			l.Tokens = append(l.Tokens, disk.Token{ID: len(l.Tokens), Type: disk.TokenAwaits, Awaits: names})
		}
		if rapid.Bool().Draw(t, "rekeyed") {
			p.Content.LUKS.Tokens = append(p.Content.LUKS.Tokens, disk.Token{ID: len(p.Content.LUKS.Tokens), Type: disk.TokenRekeyed})
		}
		if rapid.IntRange(0, 5).Draw(t, "pending?") == 0 {
			p = pending(p, rapid.SampledFrom([]string{"encrypt", "reencrypt"}).Draw(t, "mode"), "checksum", disk.ReencryptCrash)
		}
		return p
	}
	p = ext4(p)
	p.Content.Size -= rapid.SampledFrom([]disk.Bytes{0, 4096, p.Size / 2}).Draw(t, "slack").RoundDown(4096)
	return p
}

// drawExisting lets a definition do something with an existing partition.
func drawExisting(t *rapid.T, d *definitions.Definition, c disk.Content) {
	e := d.Encryption
	e.Existing = rapid.SampledFrom(fitting(c)).Draw(t, "existing")
	e.HeaderSize = rapid.SampledFrom([]disk.Bytes{0, disk.MiB, 2 * disk.MiB}).Draw(t, "header size")
	e.Keys = rapid.SampledFrom([][]definitions.Key{{tpmKey}, {fileKey}, {tpmKey, fileKey}}).Draw(t, "keys")
	switch e.Existing {
	case definitions.ExistingConvert:
		rooms := rapid.Permutation([]string{definitions.RoomGap, definitions.RoomGrow, definitions.RoomShrink}).Draw(t, "rooms")
		e.HeaderRoom = slices.Clone(rooms[:rapid.IntRange(0, 3).Draw(t, "how many rooms")])
		if rapid.Bool().Draw(t, "detached?") {
			e.HeaderRoom = append(e.HeaderRoom, definitions.RoomDetached+"/boot/"+d.Partition.Type.Name)
		}
	case definitions.ExistingRekey:
		e.ExistingKey = vendorKey
	case definitions.ExistingEnroll:
		e.ExistingKey = rapid.SampledFrom([]string{"", vendorKey}).Draw(t, "existing key")
	}
}

// fitting lists what can be asked for a content, and what will be refused for it
// last.
func fitting(c disk.Content) []string {
	switch c.Kind {
	case "ext4":
		return []string{definitions.ExistingConvert}
	case cryptoLUKS:
		return []string{definitions.ExistingRekey, definitions.ExistingEnroll, definitions.ExistingConvert, definitions.ExistingKeep}
	}
	return []string{definitions.ExistingKeep, definitions.ExistingEnroll}
}

// toMBR makes a disk one with an MBR, and definitions such as can take partitions of
// it: of those, the ones for partitions that have a label to tell them by.
func toMBR(s *disk.Snapshot, defs []definitions.Definition) []definitions.Definition {
	s.Table = disk.Table{Kind: disk.MBR}
	var kept []definitions.Definition
	for i := range s.Partitions {
		p := &s.Partitions[i]
		for _, d := range defs {
			if d.Partition.Type.UUID == p.Type && p.Content.Label != "" {
				p.Content.Label = p.Name
				d.Partition.Match.Label = p.Name
				kept = append(kept, d)
			}
		}
		p.Entry = disk.Entry{Number: i + 1, Attributes: 0x83, Extent: p.Extent}
	}
	return kept
}
