package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
)

// Grow moves the end of an existing partition up. It is done by the one write of
// the partition table, and touches no byte of the partition.
type Grow struct {
	Number int        `json:"number"`
	From   disk.Bytes `json:"from"` // sizes, with the room before it that a header takes
	To     disk.Bytes `json:"to"`
	Why    string     `json:"reason"`
}

// Kind returns "grow".
func (Grow) Kind() string { return "grow" }

// Partition returns the number of the partition that grows.
func (g Grow) Partition() int { return g.Number }

// Reason says why the partition grows.
func (g Grow) Reason() string { return g.Why }

// planGrow makes the action for an existing partition that gets larger.
func planGrow(_ *layout, p *part) (Action, error) {
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
	return Grow{Number: p.number, From: p.base().Size, To: p.extent.Size, Why: why}, nil
}
