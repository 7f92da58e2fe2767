package executor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/luks2"
)

// Returning is a keyslot of a backup that the volume does not have, or not any more.
type Returning struct {
	Keyslot int
	// Tokens are the types of its tokens, none for a passphrase or key file.
	Tokens []string
}

// String names the keyslot and what opens it.
func (r Returning) String() string {
	if len(r.Tokens) == 0 {
		return fmt.Sprintf("%d (a passphrase or key file)", r.Keyslot)
	}
	return fmt.Sprintf("%d (%q)", r.Keyslot, strings.Join(r.Tokens, ", "))
}

// returning returns the keyslots of a backup that now, nil for no header, does not have.
// Under the same id there may be another passphrase by now: what tells keyslots apart is
// their salt.
func returning(backup, now *luks2.Header) (back []Returning) {
	for _, s := range backup.Keyslots() {
		if s.Type != "luks2" || now != nil && now.HasKeyslotOf(backup, s.ID) {
			continue
		}
		r := Returning{Keyslot: s.ID}
		for _, t := range backup.Tokens() {
			if slices.Contains(t.Keyslots, s.ID) {
				r.Tokens = append(r.Tokens, t.Type)
			}
		}
		back = append(back, r)
	}
	return back
}

// spokenReturning lists keyslots.
func spokenReturning(back []Returning) string {
	var names []string
	for _, r := range back {
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}
