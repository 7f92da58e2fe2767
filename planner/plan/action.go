package plan

import (
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// Action is one thing that apply does. The set is closed: see Kinds. Each is in a
// file of its own here and of the same name in executor.
type Action interface {
	Kind() string   // "create", "grow", …
	Partition() int // number of the partition it is about
	Reason() string // why, as a clause for people
}

// Kinds lists the kinds of action, in the order in which apply does them.
func Kinds() []string {
	return []string{Create{}.Kind(), Verity{}.Kind(), Grow{}.Kind(), Enroll{}.Kind(), Reencrypt{}.Kind()}
}

// WithKeys returns an action with what change makes of the keys that it enrols, and one that
// enrols none as it is. The action that was given is not changed.
func WithKeys(a Action, change func([]definitions.Key) ([]definitions.Key, error)) (changed Action, err error) {
	switch a := a.(type) {
	case Create:
		if a.Encryption == nil {
			return a, nil
		}
		e := *a.Encryption
		e.Keys, err = change(e.Keys)
		a.Encryption = &e
		return a, err
	case Reencrypt:
		a.Encryption.Keys, err = change(a.Encryption.Keys)
		return a, err
	case Enroll:
		a.Keys, err = change(a.Keys)
		return a, err
	}
	return a, nil
}

// Encryption says how a partition is to be encrypted.
type Encryption struct {
	Cipher  string `json:"cipher"` // definitions.CipherClear or CipherSecure
	KeyBits int    `json:"key_bits"`
	// SecureKey says what the volume key is, nil for random bytes. The kernel alone can
	// use it.
	SecureKey  *definitions.SecureKey `json:"secure_key,omitempty"`
	SectorSize disk.Bytes             `json:"sector_size"`
	UUID       uuid.UUID              `json:"uuid"`
	Label      string                 `json:"label,omitempty"`
	DataOffset disk.Bytes             `json:"data_offset"` // where the encrypted data starts in the partition
	Discards   bool                   `json:"allow_discards,omitempty"`
	Keys       []definitions.Key      `json:"keys"`
	// MarkFileKeys is set where the keyslots of file keys get a token of type
	// disk.TokenFile, so that a later run knows them.
	MarkFileKeys bool `json:"mark_file_keys,omitempty"`
	// MarkKey is set where the volume gets a token of type disk.TokenRekeyed: its key is
	// made for a definition that wants one that nobody had before.
	MarkKey bool `json:"mark_key,omitempty"`
	// Unavailable is definitions.UnavailableLeave where the partition is to be left
	// as it is when none of the keys can be used; "" where that is a failure.
	Unavailable string `json:"unavailable,omitempty"`
	// HeaderBackup is the file that takes a copy of the finished header, "" for none.
	HeaderBackup string `json:"header_backup,omitempty"`
	// HeaderBackupIn is the partition in whose file system that file lies, nil where it
	// lies on this machine.
	HeaderBackupIn *Mounted `json:"header_backup_in,omitempty"`
}

// Filesystem says which file system is made and what goes into it.
type Filesystem struct {
	Format    string     `json:"format"`
	Label     string     `json:"label,omitempty"`
	UUID      uuid.UUID  `json:"uuid"`
	CopyFiles []CopyFile `json:"copy_files,omitempty"`
}

// Mounted is a partition whose file system is mounted to put a file into it.
type Mounted struct {
	Number     int         `json:"number"`
	Extent     disk.Extent `json:"extent"`
	Filesystem string      `json:"filesystem"`
}

// CopyFile is what of this machine, below --root, goes into a new file system.
type CopyFile struct {
	definitions.CopyFile
	// LeaveEmpty are directories, relative to Source, whose content is not copied:
	// another partition is mounted there, or it holds what a running system makes.
	LeaveEmpty []string `json:"leave_empty,omitempty"`
}
