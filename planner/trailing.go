package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// RemedyTrailing is what to do about something behind a file system.
const RemedyTrailing = `look at what it is; trailing = "discard" under [encryption] gives it up, and existing = "keep" leaves the partition alone`

// TrailingReason says what of p's content is in the way of a conversion.
func TrailingReason(p disk.Partition, found disk.Trailing, sectorSize disk.Bytes) string {
	return fmt.Sprintf("its %s ends at byte %d of the partition, and behind it lies %s, which would be destroyed",
		p.Content.Kind, p.Content.Size, found.Describe(sectorSize))
}

// checkTrailing refuses a conversion that would take what lies behind the file system, but
// where the definition gives that up.
func (l *layout) checkTrailing(p *part, r *plan.Reencrypt) error {
	found := l.opts.Trailing[p.number]
	if p.def.Encryption.Trailing == definitions.TrailingDiscard {
		r.Trailing = definitions.TrailingDiscard
		if found.Found() {
			l.note(p, fmt.Sprintf("what lies behind its %s is destroyed: %s", p.old.Content.Kind, found.Describe(l.snap.SectorSize)))
		}
		return nil
	}
	if !found.Found() {
		return nil
	}
	return refuse(*p.def, *p.old, TrailingReason(*p.old, found, l.snap.SectorSize), RemedyTrailing)
}

// TakesTrailing reports whether the action takes the space behind a file system: what lies
// there is to be known before (Options.Trailing).
func TakesTrailing(a plan.Action) (plan.Reencrypt, bool) {
	r, ok := a.(plan.Reencrypt)
	return r, ok && r.Mode == plan.ModeEncrypt && !r.Resume
}
