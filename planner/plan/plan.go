package plan

import (
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// Version is the version of the plan format, written to its JSON form.
const Version = 1

// Plan is everything that apply does, and why. It is complete: the executor
// reads nothing else, neither definitions nor flags.
type Plan struct {
	Version int       `json:"version"`
	Target  Target    `json:"target"`
	Seed    uuid.UUID `json:"seed"`
	// NewTable is set where the disk gets a new GPT instead of keeping its own.
	NewTable bool       `json:"new_table,omitempty"`
	Table    disk.Table `json:"table"`      // as it will be
	Rows     []Row      `json:"partitions"` // every partition before or after, in disk order
	Actions  []Action   `json:"-"`          // in the order they are done; see json.go
	Notes    []Note     `json:"notes,omitempty"`
	// Occupied is the free space in which something lies, before. Nothing is put there, unless
	// Leftovers is LeftoversDiscard.
	Occupied  []disk.Occupied `json:"occupied,omitempty"`
	Leftovers Leftovers       `json:"leftovers,omitempty"`
	// Marks are what was taken from headers at their word; see Mark.
	Marks []Mark `json:"marks,omitempty"`
}

// Target names the state of the disk that a plan was made for.
type Target struct {
	Path        string     `json:"path"`
	Size        disk.Bytes `json:"size"` // after apply; larger than the file where it must grow
	SectorSize  disk.Bytes `json:"sector_size"`
	Fingerprint string     `json:"fingerprint"` // disk.Snapshot.Fingerprint
	// FreeUnread is set where the plan was made without a look at free space; it takes none.
	FreeUnread bool `json:"free_unread,omitempty"`
}

// Activity is a partition's fate, in systemd-repart's words.
type Activity string

// The activities of a Row.
const (
	ActivityCreate    Activity = "create"
	ActivityResize    Activity = "resize"
	ActivityUnchanged Activity = "unchanged"
	ActivityDelete    Activity = "delete" // by factory reset, or with the old table
)

// Row is one partition before and after.
type Row struct {
	disk.Entry               // as it will be; as it was where Activity is delete
	Old         *disk.Entry  `json:"old,omitempty"` // as it was, nil for a new one
	Content     disk.Content `json:"content"`       // what it held before
	Activity    Activity     `json:"activity"`
	Definition  string       `json:"definition,omitempty"` // name, "" for a foreign partition
	File        string       `json:"file,omitempty"`
	DropIns     []string     `json:"drop_ins,omitempty"`
	Padding     disk.Bytes   `json:"padding"` // free space behind, as it will be
	OldPadding  disk.Bytes   `json:"old_padding"`
	UUIDDerived bool         `json:"uuid_derived,omitempty"` // UUID comes from the root hash, at apply
	// SplitPath is the file that takes the partition's content after apply, "" for
	// none. While UUIDDerived is set, derivedUUID in it stands for the UUID.
	SplitPath string `json:"split_path,omitempty"`
}

// Note is something the reader of a plan should know: a definition set aside, a
// partition dropped for want of space, a choice made.
type Note struct {
	Definition string `json:"definition,omitempty"`
	Text       string `json:"text"`
	// Warning is set where somebody should do something, though the plan may have
	// nothing to do.
	Warning bool `json:"warning,omitempty"`
}

// TakesFree reports whether the plan takes space that no partition has yet: what lies there
// must then be known.
func (p *Plan) TakesFree() bool {
	return p.NewTable || slices.ContainsFunc(p.Rows, func(r Row) bool {
		return r.Activity != ActivityDelete && (r.Old == nil || !r.Old.Contains(r.Extent))
	})
}

// Entries returns the final table's entries, in the order of their numbers.
// Derived UUIDs are taken from derived, by partition number.
func (p *Plan) Entries(derived map[int]uuid.UUID) []disk.Entry {
	var entries []disk.Entry
	for _, r := range p.Rows {
		if r.Activity == ActivityDelete {
			continue
		}
		entry := r.Entry
		if u, ok := derived[entry.Number]; ok {
			entry.UUID = u
		}
		entries = append(entries, entry)
	}
	sortEntries(entries)
	return entries
}

// Row returns the row that a partition of a number has afterwards, and whether there is one.
func (p *Plan) Row(number int) (Row, bool) {
	i := slices.IndexFunc(p.Rows, func(r Row) bool { return r.Number == number && r.Activity != ActivityDelete })
	if i < 0 {
		return Row{}, false
	}
	return p.Rows[i], true
}

// Mark says that a plan leaves something undone for what tokens in the header of a volume
// say: that it has been rekeyed, or which keys it has. Whoever has the disk can write such a
// token, one of a key too, for a keyslot that somebody else's key opens; that it is the
// volume's own shows only to who has a key of the volume (executor.CheckMarks). Those that are
// not are Options.Distrusted in another plan.
type Mark struct {
	Number int         `json:"number"` // of the partition
	Extent disk.Extent `json:"extent"` // on the disk
	Tokens []int       `json:"tokens"` // their ids
	// ExistingKey is a key source that may open the volume where no key that it has does;
	// "" for none.
	ExistingKey string `json:"existing_key,omitempty"`
}

// Leftovers says what becomes of what lies in free space.
type Leftovers string

// The values of --leftovers.
const (
	LeftoversKeep    Leftovers = "keep"    // the space is not used (the default)
	LeftoversDiscard Leftovers = "discard" // the space is free, and what lies there may be overwritten
)

// Leavable returns the numbers of the new partitions that stay unmade where their keys cannot be
// used.
func (p *Plan) Leavable() (numbers []int) {
	for _, a := range p.Actions {
		if c, ok := a.(Create); ok && c.Encryption != nil && c.Encryption.Unavailable == definitions.UnavailableLeave && !p.replaces(c.Number) {
			numbers = append(numbers, c.Number)
		}
	}
	return numbers
}

// replaces reports whether a new partition comes in the place of one that a factory reset
// deletes: that one would be gone, with nothing in its place.
func (p *Plan) replaces(number int) bool {
	return !p.NewTable && slices.ContainsFunc(p.Rows, func(r Row) bool { return r.Activity == ActivityDelete && r.Number == number })
}
