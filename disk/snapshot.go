package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Partition is a table entry and what lies in it.
type Partition struct {
	Entry
	Content Content `json:"content"`
}

// Occupied is a run of space that no partition has, from one partition to the next, with
// something in it that is not blank.
type Occupied struct {
	Extent
	Found Trailing `json:"found"` // the first thing, or what is known
}

// Snapshot is a disk at one moment, as far as planning needs it.
type Snapshot struct {
	Path       string      `json:"path"` // for people; no part of the fingerprint
	Size       Bytes       `json:"size"`
	SectorSize Bytes       `json:"sector_size"`
	Table      Table       `json:"table"`
	Partitions []Partition `json:"partitions"` // in the order of their numbers
	Content    Content     `json:"content"`    // of a disk without a table
	// Member is what the disk as a whole is a part of, though it has a table: an array whose
	// metadata lies behind it. The table is then that of the array. Nil for most disks.
	Member *Content `json:"member,omitempty"`
	// Occupied is the free space in which something lies, in the order of the places.
	Occupied []Occupied `json:"occupied,omitempty"`
	// FreeUnread is set where nobody looked whether anything lies in free space: only who takes
	// none of it may go by such a snapshot.
	FreeUnread bool `json:"free_unread,omitempty"`
	// Unwritable says why the table must not be written, though it can be read: what
	// lies in the place of its primary copy is something else. Empty where it may.
	Unwritable string `json:"unwritable,omitempty"`
	// Warnings says what was found damaged and worked around, such as a primary
	// GPT read from its backup.
	Warnings []string `json:"warnings,omitempty"`
}

// Fingerprint identifies the state of the disk that a plan was made for: all of
// the snapshot but its path and warnings, as hex of a SHA-256.
func (s Snapshot) Fingerprint() string {
	s.Path, s.Warnings = "", nil
	text, err := json.Marshal(s)
	if err != nil {
		panic("disk: a snapshot is plain data and always encodes: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Partition returns the partition with the given number.
func (s Snapshot) Partition(number int) (Partition, bool) {
	for _, p := range s.Partitions {
		if p.Number == number {
			return p, true
		}
	}
	return Partition{}, false
}

// Usable returns the bytes that partitions may take, empty without a GPT.
func (s Snapshot) Usable() Extent {
	first := s.Table.FirstUsable.Offset(s.SectorSize)
	return Extent{Offset: first, Size: (s.Table.LastUsable + 1).Offset(s.SectorSize) - first}
}
