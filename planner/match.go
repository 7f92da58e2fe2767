package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// cryptoLUKS is blkid's name for a LUKS volume, whatever is inside.
const cryptoLUKS = "crypto_LUKS"

// match gives the partitions that are there to definitions of their types whose
// [partition] match they fit (see owners). What is left over is foreign; definitions
// left over are partitions to be made.
func (l *layout) match(defs []definitions.Definition) error {
	for i := range defs {
		if err := validateDefinition(&defs[i]); err != nil {
			return err
		}
		l.parts = append(l.parts, &part{def: &defs[i], rank: i})
	}
	present := slices.Clone(l.snap.Partitions)
	slices.SortFunc(present, func(a, b disk.Partition) int { return cmp.Compare(a.Number, b.Number) })
	if l.newTable {
		for _, old := range present {
			l.deleted = append(l.deleted, deletion{Partition: old})
		}
		return nil
	}
	l.bind(l.owners(defs), present)
	l.resetToFactory()
	l.findWork()
	return nil
}

// bind gives the definitions, which are the first parts, what they take, and makes the
// other partitions foreign.
func (l *layout) bind(takes []*disk.Partition, present []disk.Partition) {
	owned := make(map[int]bool, len(takes))
	for i, p := range takes {
		if l.parts[i].old = p; p != nil {
			owned[p.Number] = true
		}
	}
	for i := range present {
		if !owned[present[i].Number] {
			l.parts = append(l.parts, &part{old: &present[i], rank: len(l.parts)})
		}
	}
}

// matches reports whether the definition may take the partition.
func (l *layout) matches(d *definitions.Definition, p *disk.Partition) bool {
	m := d.Partition.Match
	switch {
	case l.table.Kind == disk.MBR:
		return l.matchesMBR(d, p)
	case p.Type != d.Partition.Type.UUID:
		return false
	case m.Label != "" && m.Label != p.Name:
		return false
	case m.UUID != nil && *m.UUID != p.UUID:
		return false
	}
	return matchesContent(d, p) || l.hidden(d, p)
}

// matchesContent reports whether a partition holds what the definition matches. What
// is inside a LUKS volume cannot be seen: a definition that encrypts must know its
// partition again once it is encrypted, or it would make another.
func matchesContent(d *definitions.Definition, p *disk.Partition) bool {
	wanted := d.Partition.Match.Filesystem
	return wanted == "" || wanted == p.Content.Kind || (d.Encryption != nil && p.Content.Kind == cryptoLUKS)
}

// hidden reports whether nothing can be seen in a partition because its header is in
// the file that the definition names.
func (l *layout) hidden(d *definitions.Definition, p *disk.Partition) bool {
	if d.Encryption == nil || p.Content.Kind != "" {
		return false
	}
	_, there := l.opts.Headers[d.Encryption.DetachedHeader()]
	return there
}

// checkUnseen refuses to encrypt, with the header elsewhere, a partition that its
// definition could then mistake for another: nothing in it would show which it is, and
// the next run would go on in the wrong one.
func (l *layout) checkUnseen(p *part) error {
	for _, q := range l.parts {
		if q == p || q.old == nil || (q.old.Content.Kind != "" && q.place().room != plan.RoomDetached) || !l.fitsUnseen(p.def, q.old) {
			continue
		}
		return refuse(*p.def, *p.old, fmt.Sprintf("once it is encrypted nothing in it tells it from partition %d: the header is elsewhere", q.old.Number),
			"let [partition] match go by the label or uuid of a GPT entry, or have the header in the partition")
	}
	return nil
}

// fitsUnseen reports whether a partition fits a definition but for what is in it, where
// the definition goes by that. One that goes by the type alone takes partitions by
// their numbers, and those stay.
func (l *layout) fitsUnseen(d *definitions.Definition, p *disk.Partition) bool {
	if l.table.Kind == disk.MBR {
		return fitsUnseenMBR(d, p)
	}
	m := d.Partition.Match
	return m.Filesystem != "" && p.Type == d.Partition.Type.UUID &&
		(m.Label == "" || m.Label == p.Name) && (m.UUID == nil || *m.UUID == p.UUID)
}

// resetToFactory lets the partitions go whose definitions ask for it, so that
// they are made anew.
func (l *layout) resetToFactory() {
	if !l.opts.FactoryReset {
		return
	}
	for _, p := range l.parts {
		if p.def != nil && p.old != nil && p.def.Partition.FactoryReset {
			l.deleted = append(l.deleted, deletion{Partition: *p.old, def: p.def})
			p.old, p.former = nil, p.old.Number
		}
	}
}

// checkMatches makes sure that every new partition will be taken by its own
// definition. Otherwise each run would make one more.
func (l *layout) checkMatches() error {
	for _, p := range l.parts {
		if !p.created() {
			continue
		}
		m := p.def.Partition.Match
		if m.Label != "" && m.Label != p.name {
			return fmt.Errorf("%s.toml would not match the partition it makes: match.label is %q, the label %q", p.def.Name, m.Label, p.name)
		}
		if m.UUID != nil && (*m.UUID != p.uuid || p.rootUUID) {
			return fmt.Errorf("%s.toml would not match the partition it makes: match.uuid is %s, the UUID another", p.def.Name, m.UUID)
		}
		format := formatOf(p.def)
		if m.Filesystem != "" && m.Filesystem != format && p.def.Filesystem.CopyBlocks == "" {
			return fmt.Errorf("%s.toml would not match the partition it makes: match.filesystem is %q, the format %q", p.def.Name, m.Filesystem, format)
		}
	}
	return nil
}
