package plan

import (
	"encoding/hex"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Empty reports whether the disk is already what the plan says.
func (p *Plan) Empty() bool {
	if len(p.Actions) > 0 || p.NewTable {
		return false
	}
	for _, r := range p.Rows {
		if r.Activity != ActivityUnchanged || r.Entry != *r.Old {
			return false
		}
	}
	return true
}

// Resolve fills in the UUIDs that only apply could know, by partition number.
func (p *Plan) Resolve(derived map[int]uuid.UUID) {
	for i := range p.Rows {
		if u, ok := derived[p.Rows[i].Number]; ok && p.Rows[i].UUIDDerived {
			p.Rows[i].UUID, p.Rows[i].UUIDDerived = u, false
			p.Rows[i].SplitPath = strings.ReplaceAll(p.Rows[i].SplitPath, DerivedUUID, PlainUUID(u))
		}
	}
}

// Rewrites returns the parts of the disk that the plan writes to: nothing that is
// in use may lie there. Keys are enrolled in headers, at which nobody looks while their
// volumes are open: those are not among them. A new table puts an end to all that the disk held, of which
// an MBR's partitions or a file system on the whole disk are not among the rows.
// Space that the table calls free counts too: the kernel may still know, and have
// mounted, a partition that somebody took out of the table.
func (p *Plan) Rewrites() []disk.Extent {
	if p.NewTable {
		return []disk.Extent{{Size: p.Target.Size}}
	}
	var extents []disk.Extent
	for _, r := range p.Rows {
		if r.Activity == ActivityDelete {
			extents = append(extents, r.Extent)
		}
	}
	for _, a := range p.Actions {
		switch a := a.(type) {
		case Create:
			extents = append(extents, a.Extent)
		case Verity:
			extents = append(extents, a.HashExtent)
		case Reencrypt:
			extents = append(extents, a.Extent)
		}
	}
	return extents
}

// DerivedUUID stands in a Row's SplitPath for a UUID that is not known before apply.
const DerivedUUID = "{derived}"

// PlainUUID writes a UUID without dashes.
func PlainUUID(u uuid.UUID) string { return hex.EncodeToString(u[:]) }
