package executor

import (
	"context"
	"io"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/secret"
)

// Env is what the executor works with beside the plan and the disk.
type Env struct {
	Sealers []Sealer
	// Keys are tried, after the tokens on the disk, to open a volume whose
	// conversion was interrupted.
	Keys []definitions.Key
	// KeySource returns the passphrase that a key source of a definition names, such
	// as "file:/etc/keys/old"; nil where there are none.
	KeySource func(ctx context.Context, source string) (*secret.Buffer, error)
	// SecureKey makes the volume key that a definition wants made by a cryptographic
	// adapter, which knows it by the name; nil where nothing here can.
	SecureKey func(ctx context.Context, k definitions.SecureKey, name string) (SecureKey, error)
	// Forget is called when no key is asked for any more, before the work that takes hours: who
	// keeps PINs or keys wipes them. Nil where nobody does.
	Forget func()
	// Decided is called once, where not nil, when it is known which of the new partitions are not
	// made, by their numbers, before files are copied and anything is written.
	Decided func(unmade []int) error
	// TakeBack is called where a run fails before it has written anything to the disk: who made
	// files for it removes them. Nil where nobody does.
	TakeBack func() error
	Random   io.Reader // keys, salts and anti-forensic stripes; safe for concurrent use
	TempDir  string    // for file systems in the making; "" is os.TempDir
	Root     string    // copy_files and copy_blocks sources lie below it
	// Mount lets the kernel mount file systems of an image file, which may be anybody's; those
	// of block devices it mounts anyhow.
	Mount bool
	// Epoch is the time stamp of what file systems make themselves
	// (SOURCE_DATE_EPOCH), nil for now.
	Epoch   *time.Time
	Report  func(Event)
	Workers int // goroutines that encrypt; 0 means one a core, and more for block devices
}

// What the kinds of key give and take; package key has them, which no kind of key imports
// the executor for.
type (
	// Sealer guards the passphrase of a keyslot by one kind of key.
	Sealer = key.Sealer
	// Sealed is what one key contributes to a volume.
	Sealed = key.Sealed
	// SecureKey is a volume key that a cryptographic adapter made.
	SecureKey = key.SecureKey
)

// ErrAbsent says that what guards a key is not on this machine.
var ErrAbsent = key.ErrAbsent

// Phase is the kind of an Event.
type Phase string

// The phases of an action, as told in events.
const (
	Began     Phase = "began"
	Progress  Phase = "progress"
	Committed Phase = "committed" // a commit point was reached
	Done      Phase = "done"
	Left      Phase = "left"    // not done, because its keys cannot be used; Step says why
	Skipped   Phase = "skipped" // a key was left out, because it is not there; Step says which
	// Distrusted: a note in a header is not the volume's own, and nothing was done for it;
	// Step says which, and what it asked for.
	Distrusted Phase = "distrusted"
	// Unchecked: what a header says was taken at its word, because the volume could not be
	// opened to check it; Step says what, and why.
	Unchecked Phase = "unchecked"
)

// Event tells how the work goes. Events are for screens and tests; nothing is
// decided by them.
type Event struct {
	Phase     Phase      `json:"phase"`
	Action    string     `json:"action"`              // kind, or "publish"
	Partition int        `json:"partition,omitempty"` // number
	Step      string     `json:"step,omitempty"`
	Done      disk.Bytes `json:"done,omitempty"`
	Total     disk.Bytes `json:"total,omitempty"`
}

// report sends an event where somebody listens.
func (e Env) report(event Event) {
	if e.Report != nil {
		e.Report(event)
	}
}

// forget has everybody wipe what was kept to open volumes.
func (e Env) forget() {
	if e.Forget != nil {
		e.Forget()
	}
}

// takeBack has everybody remove what was made for nothing.
func (e Env) takeBack() error {
	if e.TakeBack == nil {
		return nil
	}
	return e.TakeBack()
}

// sealer returns the one for a kind of key. Its calls end with their context.
func (e Env) sealer(kind string) (Sealer, bool) {
	for _, s := range e.Sealers {
		if s.Kind() == kind {
			return leavable{s}, true
		}
	}
	return nil, false
}

// tokenSealer returns the one that wrote tokens of the given type, in the same way.
func (e Env) tokenSealer(tokenType string) (Sealer, bool) {
	for _, s := range e.Sealers {
		if s.TokenType() != "" && s.TokenType() == tokenType {
			return leavable{s}, true
		}
	}
	return nil, false
}
