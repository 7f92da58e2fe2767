package planner

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// An MBR disk (a Raspberry Pi's) is worked on as it is: the content of its primary
// partitions can be converted, rekeyed and enrolled, and nothing else; its table is
// never written. An MBR tells little about a partition, a type of one byte and no
// name or UUID. So a definition takes one only where all of this holds:
//
//   - the type byte is one for the definition's type (mbrFits);
//   - [partition] match says more: the filesystem, or the label or the uuid, which
//     here are those of the file system or of the LUKS volume made of it;
//   - no second partition fits it as well.
//
// A disk with an MBR that no definition takes a partition of is refused as a whole.

// worksOnMBR reports whether the disk has an MBR, is to keep it, and has a partition
// that a definition takes.
func (l *layout) worksOnMBR(defs []definitions.Definition) bool {
	if l.snap.Table.Kind != disk.MBR || (l.opts.Empty != "" && l.opts.Empty != EmptyRefuse && l.opts.Empty != EmptyAllow) {
		return false
	}
	for i := range defs {
		fits := func(p disk.Partition) bool { return l.matchesMBR(&defs[i], &p) }
		if slices.ContainsFunc(l.snap.Partitions, fits) {
			return true
		}
	}
	return false
}

// matchesMBR reports whether the definition may take a partition of an MBR.
func (l *layout) matchesMBR(d *definitions.Definition, p *disk.Partition) bool {
	m, c := d.Partition.Match, p.Content
	if !fitsUnseenMBR(d, p) || l.hidden(d, p) {
		return fitsUnseenMBR(d, p)
	}
	id, err := uuid.Parse(c.UUID)
	return (m.Label == "" || m.Label == c.Label) && (m.UUID == nil || (err == nil && *m.UUID == id)) &&
		matchesContent(d, p)
}

// fitsUnseenMBR reports whether a partition fits a definition as far as the MBR tells.
func fitsUnseenMBR(d *definitions.Definition, p *disk.Partition) bool {
	return mbrFits(d.Partition.Type, p.Attributes) && d.Partition.Match != definitions.Match{}
}

// mbrFits reports whether an MBR's type byte, the low one of attributes, is for
// partitions of a type.
func mbrFits(t disk.Type, attributes uint64) bool {
	use := t.Designator()
	switch byte(attributes) {
	case 0x0b, 0x0c, 0x0e, 0xef: // FAT, and the ESP
		return use == "esp"
	case 0xea: // Boot Loader Specification
		return use == "xbootldr"
	case 0x82:
		return use == "swap"
	case 0x83: // any Linux file system
		return use != "" && use != "esp" && use != "swap" && !t.IsVerity()
	}
	return false
}

// keepAll leaves every partition where and what it is, and refuses what would take
// another table.
func (l *layout) keepAll() error {
	for _, p := range l.parts {
		if p.old == nil {
			return l.refuseNew(p)
		}
		old := p.old.Entry
		p.extent, p.number, p.name, p.uuid, p.attrs = old.Extent, old.Number, old.Name, old.UUID, old.Attributes
		if p.def != nil && p.work == workConvert && p.refusal == nil {
			p.places = l.placesFor(p)
		}
	}
	for _, p := range l.parts {
		if err := l.checkSingle(p); err != nil {
			return err
		}
	}
	return nil
}

// refuseNew says why a definition has no partition on an MBR disk.
func (l *layout) refuseNew(p *part) error {
	remedy := "--empty=force replaces the whole table by a GPT, and all partitions with it"
	if (p.def.Partition.Match == definitions.Match{}) {
		remedy = "on an MBR disk a definition must say in [partition] match which partition it means: filesystem, label or uuid of what is in it"
	}
	return &Refusal{
		Definition: p.def.File, Remedy: remedy,
		Reason: fmt.Sprintf("no partition of the MBR matches it, and none can be made on %s: partitions of an MBR are only converted", l.snap.Path),
	}
}

// checkSingle refuses a definition that two partitions fit, and one that would not
// know its partition again after the conversion.
func (l *layout) checkSingle(p *part) error {
	if p.def == nil || p.work == workNone {
		return nil
	}
	for i := range l.snap.Partitions {
		if q := &l.snap.Partitions[i]; q.Number != p.old.Number && l.matchesMBR(p.def, q) {
			return refuse(*p.def, *p.old, fmt.Sprintf("partition %d fits the definition too, and an MBR does not tell them apart", q.Number),
				"say in [partition] match which one it means: its label or uuid")
		}
	}
	if p.work != workConvert || p.refusal != nil {
		return nil
	}
	m, e := p.def.Partition.Match, l.encryptionFor(p, plan.LUKSSectorMax)
	l.carryOver(&e, p)
	if (m.Label != "" && m.Label != e.Label) || (m.UUID != nil && *m.UUID != e.UUID) {
		return refuse(*p.def, *p.old, fmt.Sprintf("its volume would have the label %q and the UUID %s, and the definition would not match it any more", e.Label, e.UUID),
			"give no other label in [encryption], and match by what the volume will have")
	}
	return nil
}
