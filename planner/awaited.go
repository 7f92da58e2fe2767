package planner

import (
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
)

// AwaitName is what a token of the type disk.TokenAwaits calls a key: its type, and which of that type where the
// definition says so.
func AwaitName(k definitions.Key) string {
	name := k.Path + k.URI
	if k.Program != "" {
		name = path.Base(k.Program)
	}
	return strings.TrimSpace(strings.TrimSpace(k.Type+" "+name) + " " + k.KeySHA256)
}

// NamesKey reports whether one of the names in such tokens is a key's. One that was written
// before the definition said key_sha256 is, too.
func NamesKey(names []string, k definitions.Key) bool {
	loose := k
	loose.KeySHA256 = ""
	return slices.Contains(names, AwaitName(k)) || slices.Contains(names, AwaitName(loose))
}

// awaits reports whether a volume waits for a key, by what its header says.
func awaits(l *disk.LUKS, k definitions.Key) bool {
	return slices.ContainsFunc(l.Tokens, func(t disk.Token) bool { return NamesKey(t.Awaits, k) })
}

// toEnroll returns the keys that a volume is to get. With existing = "enroll" it is all
// that it lacks, else those that it waits for. Where it has a key for the machine already,
// those that are not there are nothing to do.
func (o Options) toEnroll(e *definitions.Encryption, l *disk.LUKS) []definitions.Key {
	var keys []definitions.Key
	all := e.Existing == definitions.ExistingEnroll
	for _, k := range lacking(e, l) {
		if all && !guarded(e, l) || (all || awaits(l, k)) && !o.absent(k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// absent reports whether a key is known not to be on this machine, or not to be had in this
// run.
func (o Options) absent(k definitions.Key) bool {
	return o.unnamed(k) || slices.ContainsFunc(o.Absent, func(other definitions.Key) bool { return reflect.DeepEqual(k, other) })
}

// guarded reports whether a volume has a key of the definition that a machine uses by
// itself.
func guarded(e *definitions.Encryption, l *disk.LUKS) bool {
	machines := func(keys []definitions.Key) (n int) {
		for _, k := range keys {
			if !k.ForPersons() {
				n++
			}
		}
		return n
	}
	return machines(lacking(e, l)) < machines(e.Keys)
}
