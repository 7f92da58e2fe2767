package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// Limits of a LUKS2 header (LUKS2 On-Disk Format 1.1.3, section 3).
const (
	maxKeyslots  = 32
	maxTokens    = 32
	keyStripes   = 4000
	keyslotBlock = 4 * disk.KiB // areas are whole blocks, and the record of a conversion takes one at least
)

// keyslotSize returns what a keyslot for a volume key of so many bits takes.
func keyslotSize(bits int) disk.Bytes {
	return (disk.Bytes(bits/8) * keyStripes).RoundUp(keyslotBlock)
}

// newKeyslots are those that an action adds to a header, in the order in which it does.
type newKeyslots struct {
	sizes  []disk.Bytes
	record bool // a conversion keeps its record beside them
	freed  int  // keyslots that go before

	tokens      int // tokens that come
	freedTokens int // those that go before
}

// rekeySlots are those of a rekey: each key opens the new volume key and, until all is
// converted, the old one. All others go; only the last waits for the new ones.
func rekeySlots(e *definitions.Encryption, l *disk.LUKS) newKeyslots {
	n := newKeyslots{record: true, tokens: 1 + 2*len(e.Keys)} // and a note that it was done
	for range e.Keys {
		n.sizes = append(n.sizes, keyslotSize(keyBits), keyslotSize(l.KeyBits))
	}
	var passphrases []int
	for _, s := range l.Keyslots {
		if s.KDF != "" {
			passphrases = append(passphrases, s.ID)
		}
	}
	n.freed = max(len(passphrases)-1, 0)
	for _, t := range l.Tokens {
		kept := func(slot int) bool { return !slices.Contains(passphrases[min(1, len(passphrases)):], slot) }
		if len(t.Keyslots) > 0 && !slices.ContainsFunc(t.Keyslots, kept) {
			n.freedTokens++
		}
	}
	return n
}

// enrollSlots are those of keys that a volume lacks.
func enrollSlots(keys []definitions.Key, l *disk.LUKS) newKeyslots {
	return newKeyslots{sizes: slices.Repeat([]disk.Bytes{keyslotSize(l.KeyBits)}, len(keys)), tokens: len(keys)}
}

// lacking says what a header has not enough of for new keyslots, "" where they fit: each goes
// to the first free run that is long enough.
func (n newKeyslots) lacking(l *disk.LUKS) string {
	if free := maxKeyslots - len(l.Keyslots) + n.freed; len(n.sizes) > free {
		return fmt.Sprintf("of its header's %d keyslots %d are free, and %d are needed", maxKeyslots, free, len(n.sizes))
	}
	if free := maxTokens - len(l.Tokens) + n.freedTokens; n.tokens > free {
		return fmt.Sprintf("of its header's %d tokens %d are free, and %d are needed", maxTokens, max(free, 0), n.tokens)
	}
	if l.KeyslotRoom == nil {
		return ""
	}
	runs, missing := slices.Clone(l.KeyslotRoom), disk.Bytes(0)
	for _, size := range n.sizes {
		i := slices.IndexFunc(runs, func(run disk.Bytes) bool { return run >= size })
		if i < 0 {
			missing += size
			continue
		}
		runs[i] -= size
	}
	if n.record && !slices.ContainsFunc(runs, func(run disk.Bytes) bool { return run >= keyslotBlock }) {
		missing += keyslotBlock
	}
	if missing == 0 {
		return ""
	}
	return fmt.Sprintf("its header has no room for %d more keyslots beside those that are there: %d bytes are missing before its data", len(n.sizes), missing)
}

// checkKeyRoom refuses work for which the header of a volume has no room.
func checkKeyRoom(d definitions.Definition, p disk.Partition, n newKeyslots) error {
	if reason := n.lacking(p.Content.LUKS); reason != "" {
		return refuse(d, p, reason, `"sealpart key list" shows its keyslots and "sealpart key remove" takes away those that nobody needs, "cryptsetup token remove" tokens of other programs; or name fewer keys`)
	}
	return nil
}
