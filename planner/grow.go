package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/planner/plan"
)

// planGrow makes the action for an existing partition that gets larger.
func planGrow(_ *layout, p *part) (plan.Action, error) {
	if p.old == nil || p.extent.Size == p.base().Size {
		return nil, nil
	}
	why := fmt.Sprintf("%s.toml lets it take its share of the free space behind it", p.def.Name)
	switch {
	case p.place().size > p.old.Size:
		why = fmt.Sprintf("%s.toml wants it encrypted, and that takes room for a header", p.def.Name)
	case p.needs.min > p.old.Size:
		why = fmt.Sprintf("%s.toml wants at least %s", p.def.Name, p.needs.min)
	}
	return plan.Grow{Number: p.number, From: p.base().Size, To: p.extent.Size, Why: why}, nil
}
