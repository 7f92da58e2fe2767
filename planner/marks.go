package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// marks returns the marks that the plan rests on. A volume in conversion has its notes
// checked when that goes on, and one under a secure key has none: it cannot be rekeyed, and
// its adapter gives the same key other bytes.
func (l *layout) marks() (marks []plan.Mark) {
	for _, p := range l.parts {
		if p.old == nil || p.foreign() || p.def.Encryption == nil || p.work != workNone && p.work != workEnroll {
			continue
		}
		e, luks := p.def.Encryption, p.old.Content.LUKS
		if luks == nil || plan.InConversion(p.old.Content) || plan.UnderSecureKey(luks.Cipher) {
			continue
		}
		m := plan.Mark{Number: p.number, Extent: p.old.Extent, Tokens: deciding(e, luks)}
		if len(m.Tokens) == 0 {
			continue
		}
		if typed := e.ExistingKey == definitions.SourceAsk; !typed || !l.opts.Boot || len(bindKeys(e.Keys, luks).slots) == 0 {
			m.ExistingKey = e.ExistingKey // else every boot would ask for what is gone
		}
		marks = append(marks, m)
		if rekeyed(luks) && e.Existing == definitions.ExistingRekey {
			l.note(p, fmt.Sprintf("it has been rekeyed, according to a mark in its header (token %d) that apply verifies", m.Tokens[0]))
		} else if p.work == workNone {
			l.note(p, fmt.Sprintf("it has the keys of its definition, according to tokens %v in its header that apply verifies", m.Tokens))
		}
	}
	return marks
}

// deciding returns the tokens by which is decided what a definition wants done to a volume. Of
// several that could be one key's it is all: where the first is none of the volume's own, the
// next one would count.
func deciding(e *definitions.Encryption, l *disk.LUKS) (ids []int) {
	counts := func(t disk.Token) bool {
		return slices.ContainsFunc(e.Keys, func(k definitions.Key) bool {
			return NamesKey(t.Awaits, k) || boundAs(t, k) && opensSlot(t, l)
		})
	}
	for _, t := range l.Tokens {
		if e.Existing == definitions.ExistingRekey && t.Type == disk.TokenRekeyed || e.Existing == definitions.ExistingEnroll && counts(t) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// trusted returns a snapshot in which tokens that are distrusted say nothing. Their keyslots
// still have a token: they are not taken for those of a key file.
func trusted(s disk.Snapshot, distrusted map[int][]int) disk.Snapshot {
	if len(distrusted) == 0 {
		return s
	}
	s.Partitions = slices.Clone(s.Partitions)
	for i, p := range s.Partitions {
		if p.Content.LUKS == nil {
			continue
		}
		luks := *p.Content.LUKS
		luks.Tokens = slices.Clone(luks.Tokens)
		for j, t := range luks.Tokens {
			if slices.Contains(distrusted[p.Number], t.ID) {
				luks.Tokens[j] = disk.Token{ID: t.ID, Keyslots: t.Keyslots}
			}
		}
		s.Partitions[i].Content.LUKS = &luks
	}
	return s
}
