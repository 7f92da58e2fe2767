package planner

import (
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// encryptionFor says how a partition is encrypted from scratch, in sectors of the
// given size.
func (l *layout) encryptionFor(p *part, sector disk.Bytes) plan.Encryption {
	d := p.def.Encryption
	e := plan.Encryption{
		Cipher: d.Cipher, KeyBits: keyBits, SectorSize: sector,
		UUID: derive(l.identity(p), []byte("luks-uuid")), Label: d.Label,
		DataOffset: headerSize(d), Keys: slices.Clone(d.Keys),
		MarkFileKeys: d.Existing == definitions.ExistingEnroll || d.Existing == definitions.ExistingRekey,
		MarkKey:      d.Existing == definitions.ExistingRekey,
		HeaderBackup: d.HeaderBackup,
	}
	if e.Cipher == "" {
		e.Cipher = definitions.CipherClear
	}
	if d.SecureKey != nil {
		e.SecureKey, e.KeyBits = d.SecureKey, d.SecureKey.Bits()
	}
	if e.Label == "" {
		e.Label = luksLabel(p.name)
	}
	if d.Unavailable == definitions.UnavailableLeave {
		e.Unavailable = d.Unavailable
	}
	return e
}

// identity returns what the UUIDs inside a partition are derived from: its own, or
// where it has none, as on an MBR disk, one from its number.
func (l *layout) identity(p *part) uuid.UUID {
	if p.uuid != uuid.Nil {
		return p.uuid
	}
	return derive(l.opts.Seed, []byte{'p', 'a', 'r', 't', byte(p.number), byte(p.number >> 8)})
}

// carryOver gives a volume the label and UUID of the file system that it takes in,
// so that what found the one finds the other: root=LABEL=, /etc/fstab. A label that
// the definition gives comes first. A UUID that another partition has too, as with
// two copies of one image, would make the volumes one to the kernel; then the derived
// one stays.
func (l *layout) carryOver(e *plan.Encryption, p *part) {
	c := p.old.Content
	if p.def.Encryption.Label == "" && c.Label != "" && len(c.Label) <= maxLUKSLabel {
		e.Label = c.Label
	}
	u, err := uuid.Parse(c.UUID)
	if err != nil || len(c.UUID) != len(uuid.Nil.String()) || u == uuid.Nil {
		return
	}
	same := func(q disk.Partition) bool { return q.Number != p.old.Number && q.Content.UUID == c.UUID }
	if !slices.ContainsFunc(l.snap.Partitions, same) {
		e.UUID = u
	}
}

// headerSize returns where the data of a volume that a definition makes starts.
func headerSize(e *definitions.Encryption) disk.Bytes {
	if e.HeaderSize == 0 {
		return Shift
	}
	return e.HeaderSize
}
