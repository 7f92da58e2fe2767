package plan

import (
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
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
	DropExisting bool `json:"drop_existing,omitempty"`
	// Awaited is set where nothing but a note in the volume's header asks for Keys: those
	// that it waits for. Whether the note is genuine shows only once the volume is unlocked.
	Awaited bool `json:"awaited,omitempty"`
	// Guarded is set where a key of the definition that a machine uses by itself is there
	// already: then none of Keys has to be had.
	Guarded      bool   `json:"guarded,omitempty"`
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
