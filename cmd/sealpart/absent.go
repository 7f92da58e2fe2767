package main

import (
	"context"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/planner"
)

// seeker is a sealer that can tell, without a PIN and without using the key, whether what
// a key depends on is on this machine.
type seeker interface {
	There(context.Context, definitions.Key) bool
}

// absentKeys returns the keys of the definitions that are not here, for volumes that wait
// for them. To look for a token a module is loaded, so that is done only where a volume
// waits for one. In a boot, keys for which somebody would have to type a PIN do not count
// either: they would be asked for in every boot until somebody does.
func (w *world) absentKeys(ctx context.Context, snapshot disk.Snapshot) (absent []definitions.Key, err error) {
	sealers := w.sealers()
	for _, d := range w.definitions {
		if d.Encryption == nil {
			continue
		}
		for _, k := range d.Encryption.Keys {
			if k.Type == definitions.KeyPKCS11 && !awaited(snapshot, k) {
				continue
			}
			there, err := w.there(ctx, sealers, k)
			if err != nil {
				return nil, err
			}
			if !there {
				absent = append(absent, k)
			}
		}
	}
	return absent, nil
}

// sealers returns those of the run, or of one that could be.
func (w *world) sealers() []key.Sealer {
	if w.env != nil {
		return w.env.Sealers
	}
	return w.keys.env(w.definitions).Sealers
}

// there reports whether what a key depends on is here. Whether the machine has a TPM is
// among its facts. A token that is looked for in vain may keep whoever looks: the end of ctx
// ends it.
func (w *world) there(ctx context.Context, sealers []key.Sealer, k definitions.Key) (bool, error) {
	i := slices.IndexFunc(sealers, func(s key.Sealer) bool { return s.Kind() == k.Type })
	if i < 0 {
		return true, nil
	}
	seek, ok := sealers[i].(seeker)
	switch {
	case !ok:
		return true, nil
	case w.boot && isTyped(k):
		return false, nil
	case k.Type == definitions.KeyTPM2 && k.DeviceKey == "" && w.keys.tpm2 == "auto":
		return w.facts.TPM2, nil
	}
	return abandon.Call(ctx, func() (bool, error) { return seek.There(ctx, k), nil }, func(bool) {})
}

// awaited reports whether a volume waits for a key.
func awaited(s disk.Snapshot, k definitions.Key) bool {
	return slices.ContainsFunc(s.Partitions, func(p disk.Partition) bool {
		return p.Content.LUKS != nil && slices.ContainsFunc(p.Content.LUKS.Tokens, func(t disk.Token) bool {
			return planner.NamesKey(t.Awaits, k)
		})
	})
}

// isTyped reports whether somebody has to type the PIN of a key, or may have to.
func isTyped(k definitions.Key) bool {
	return k.PIN == definitions.SourceAsk || k.Type == definitions.KeyPKCS11 && k.PIN == ""
}
