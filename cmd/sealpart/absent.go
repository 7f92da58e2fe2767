package main

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/planner"
)

// seeker is a sealer that can tell, without a PIN and without using the key, whether what
// a key depends on is on this machine.
type seeker interface {
	There(definitions.Key) bool
}

// absentKeys returns the keys of the definitions that are not here, for volumes that wait
// for them. To look for a token a module is loaded, so that is done only where a volume
// waits for one. In a boot, keys for which somebody would have to type a PIN do not count
// either: they would be asked for in every boot until somebody does.
func (w *world) absentKeys(snapshot disk.Snapshot) (absent []definitions.Key) {
	sealers := w.keys.env(w.definitions).Sealers
	for _, d := range w.definitions {
		if d.Encryption == nil {
			continue
		}
		for _, k := range d.Encryption.Keys {
			if k.Type == definitions.KeyPKCS11 && !awaited(snapshot, k) {
				continue
			}
			for _, s := range sealers {
				if seek, ok := s.(seeker); ok && s.Kind() == k.Type && (w.boot && isTyped(k) || !w.there(seek, k)) {
					absent = append(absent, k)
				}
			}
		}
	}
	return absent
}

// there tells whether what a key depends on is here. Whether the machine has a TPM is
// among its facts.
func (w *world) there(seek seeker, k definitions.Key) bool {
	if k.Type == definitions.KeyTPM2 && k.DeviceKey == "" && w.keys.tpm2 == "auto" {
		return w.facts.TPM2
	}
	return seek.There(k)
}

// awaited tells whether a volume waits for a key.
func awaited(s disk.Snapshot, k definitions.Key) bool {
	return slices.ContainsFunc(s.Partitions, func(p disk.Partition) bool {
		return p.Content.LUKS != nil && slices.ContainsFunc(p.Content.LUKS.Tokens, func(t disk.Token) bool {
			return planner.NamesKey(t.Awaits, k)
		})
	})
}

// isTyped tells whether somebody has to type the PIN of a key, or may have to.
func isTyped(k definitions.Key) bool {
	return k.PIN == definitions.SourceAsk || k.Type == definitions.KeyPKCS11 && k.PIN == ""
}
