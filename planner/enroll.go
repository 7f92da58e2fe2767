package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
)

// Enroll adds the keys of a definition that a LUKS2 volume lacks. Its data and its
// volume key stay as they are.
type Enroll struct {
	Number int               `json:"number"`
	Extent disk.Extent       `json:"extent"` // on the disk
	Keys   []definitions.Key `json:"keys"`   // those that are missing
	// ExistingKey is the key source that opens the volume; "" where a key that it has
	// must do.
	ExistingKey string `json:"existing_key,omitempty"`
	// DropExisting is set where the keyslots that ExistingKey opens go, in the same
	// header write that brings the new ones.
	DropExisting bool   `json:"drop_existing,omitempty"`
	Unavailable  string `json:"unavailable,omitempty"`   // as in Encryption
	HeaderBackup string `json:"header_backup,omitempty"` // this and the next as in Encryption

	HeaderBackupIn *Mounted `json:"header_backup_in,omitempty"`
	Why            string   `json:"reason"`
}

// Kind returns "enroll".
func (Enroll) Kind() string { return "enroll" }

// Partition returns the number of the partition that gets keys.
func (e Enroll) Partition() int { return e.Number }

// Reason says why keys are added.
func (e Enroll) Reason() string { return e.Why }

// planEnroll makes the action for a volume that lacks keys of its definition.
func planEnroll(_ *layout, p *part) (Action, error) {
	if p.work != workEnroll || p.old == nil || p.foreign() {
		return nil, nil
	}
	d := p.def.Encryption
	a := Enroll{
		Number: p.number, Extent: p.extent, Keys: slices.Clone(toEnroll(d, p.old.Content.LUKS)),
		ExistingKey: d.ExistingKey, DropExisting: d.ExistingKey != "", HeaderBackup: d.HeaderBackup,
		Why: fmt.Sprintf("%s.toml wants keys that its volume does not have", p.def.Name),
	}
	if d.Unavailable == definitions.UnavailableLeave {
		a.Unavailable = d.Unavailable
	}
	return a, nil
}
