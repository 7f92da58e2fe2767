package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// noteUnfinished warns of every conversion that was begun and that the plan does not
// go on with, because its definition is gone or leaves the partition alone: some of
// its data is as it was before, though it looks like a volume.
func (l *layout) noteUnfinished(p *plan.Plan) {
	resumed := map[int]bool{}
	for _, a := range p.Actions {
		if r, ok := a.(plan.Reencrypt); ok {
			resumed[r.Number] = true
		}
	}
	for _, part := range l.parts {
		if part.old == nil || resumed[part.number] {
			continue
		}
		if luks := l.unfinished(part); luks != nil {
			l.notes = append(l.notes, unfinishedNote(part, luks))
		}
	}
}

// unfinished returns the header of the conversion that p's content is in, nil where
// it is in none.
func (l *layout) unfinished(p *part) *disk.LUKS {
	if plan.InConversion(p.old.Content) {
		return p.old.Content.LUKS
	}
	if p.def == nil || p.def.Encryption == nil {
		return nil
	}
	if header := l.opts.Headers[p.def.Encryption.DetachedHeader()]; p.old.Content.LUKS == nil && plan.InConversion(header) {
		return header.LUKS
	}
	return nil
}

// unfinishedNote says what of a conversion is left to do, and who would do it.
func unfinishedNote(p *part, luks *disk.LUKS) plan.Note {
	n := plan.Note{Warning: true, Text: fmt.Sprintf("partition %d ", p.old.Number)}
	if !p.foreign() {
		n.Definition = p.def.Name
	}
	if r := luks.Reencryption; r != nil {
		n.Text += fmt.Sprintf("is in a conversion (%s) that was begun and not finished: %s of %s done", r.Mode, r.Done, r.Total)
	} else {
		n.Text += "is encrypted, but the plain copy that its conversion made of its first bytes is not wiped yet"
	}
	n.Text += fmt.Sprintf("; nothing goes on with it here, a definition of it with existing = %q would", definitions.ExistingConvert)
	return n
}
