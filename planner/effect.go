package planner

import (
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/internal/disk"
)

// Empty tells whether the disk is already what the plan says.
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
		}
	}
}

// Rewrites returns the parts of the disk whose present content the plan replaces
// or converts: nothing that is in use may lie there.
func (p *Plan) Rewrites() []disk.Extent {
	var extents []disk.Extent
	for _, r := range p.Rows {
		if r.Activity == ActivityDelete {
			extents = append(extents, r.Extent)
		}
	}
	for _, a := range p.Actions {
		if a, ok := a.(Reencrypt); ok {
			extents = append(extents, a.Extent)
		}
	}
	return extents
}
