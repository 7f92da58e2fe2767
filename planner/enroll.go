package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// planEnroll makes the action for a volume that lacks keys of its definition.
func planEnroll(l *layout, p *part) (plan.Action, error) {
	if p.work != workEnroll || p.old == nil || p.foreign() {
		return nil, nil
	}
	d, luks := p.def.Encryption, p.old.Content.LUKS
	a := plan.Enroll{
		Number: p.number, Extent: p.extent, Keys: l.opts.toEnroll(d, luks), Guarded: guarded(d, luks), HeaderBackup: d.HeaderBackup,
		Awaited: d.Existing != definitions.ExistingEnroll,
		Why:     fmt.Sprintf("%s.toml wants keys that its volume does not have", p.def.Name),
	}
	if a.Awaited {
		a.Why = fmt.Sprintf("%s.toml wants keys that its volume waits for, as a note in its header says", p.def.Name)
	}
	if others := bindKeys(d.Keys, luks).others(luks); d.Existing == definitions.ExistingEnroll && len(others) > 0 {
		a.ExistingKey, a.DropExisting = d.ExistingKey, d.ExistingKey != ""
	}
	if d.Unavailable == definitions.UnavailableLeave {
		a.Unavailable = d.Unavailable
	}
	return a, nil
}
