package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// MemberOf says, for people, what a disk with a table is a part of, "" where it stands alone.
func MemberOf(snap disk.Snapshot) string {
	m := snap.Member
	if m == nil {
		return ""
	}
	array := m.Kind
	for _, name := range []string{m.Label, m.UUID} {
		if name != "" {
			array += " " + name
		}
	}
	return fmt.Sprintf("the disk as a whole is part of an array or volume: %s, by its metadata at byte %d", array, m.At)
}

// checkMember refuses to write to a disk that belongs to something else as a whole. Its
// table is what that shows of itself, and where the table seems too small for the disk
// lies the metadata.
func (l *layout) checkMember(p *plan.Plan) error {
	if l.snap.Member == nil || p.Empty() || p.NewTable {
		return nil
	}
	return &TableError{l.snap.Path, MemberOf(l.snap) + "; nothing is written to it alone",
		`work on the array itself, which shows the same partitions; if there is none any more, "wipefs" lists and removes what is left of it`}
}
