package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
	"github.com/sealpart/sealpart/planner/plan"
)

// volume is a LUKS2 volume in the making: its key, and its header with all its
// keyslots in memory. Nothing of it is on the disk yet.
type volume struct {
	key      *secret.Buffer
	old      *secret.Buffer // the key of the data so far; nil where that is plain
	header   *luks2.Header
	device   luks2.Device // front or over
	front    *front       // of a volume that was not there before, else nil
	over     *overlay     // over one that was there before, else nil
	replaced []int        // keyslots in whose place others come
	proven   int          // keys that were unsealed again, or are a person's
	unproven []string     // why others were not
	notAlone bool         // one of those does not do for a new volume
	mark     bool         // keyslots of file keys get a token: see disk.TokenFile
	absent   []absence    // keys that were left out
	same     bool         // nothing was added, and nothing is to be written
}

// newVolume makes a volume key, seals it by every key of e that is there, and proves each
// of them by unsealing it again and opening its keyslot.
func newVolume(ctx context.Context, env Env, e plan.Encryption) (*volume, error) {
	header, err := luks2.Format(luks2.FormatOptions{
		UUID: e.UUID, Label: e.Label, DataOffset: int64(e.DataOffset), Cipher: e.Cipher,
		KeySize: e.KeyBits / 8, SectorSize: int(e.SectorSize), AllowDiscards: e.Discards, Rand: env.Random,
	})
	if err != nil {
		return nil, err
	}
	key, token, err := volumeKey(ctx, env, e)
	if err != nil {
		return nil, err
	}
	image := &front{}
	v := &volume{key: key, header: header, device: image, front: image, mark: e.MarkFileKeys}
	added, err := v.enrollThere(ctx, env, e.Keys, false)
	if err == nil && v.notAlone {
		err = v.checkProven()
	}
	if err == nil {
		err = v.noteAbsent(added)
	}
	if err == nil && token != nil {
		_, err = header.AddToken(token)
	}
	if err == nil && e.MarkKey {
		err = v.markRekeyed()
	}
	if err == nil {
		err = header.Commit(image)
	}
	if err != nil {
		v.wipe()
		return nil, err
	}
	return v, nil
}

// newProven is newVolume for data that is there already.
func newProven(ctx context.Context, env Env, e plan.Encryption) (*volume, error) {
	v, err := newVolume(ctx, env, e)
	if err != nil {
		return nil, err
	}
	if err := v.checkProven(); err != nil {
		v.wipe()
		return nil, err
	}
	return v, nil
}

// keys returns the volume keys for a conversion.
func (v *volume) keys() dataKeys { return dataKeys{old: v.old, new: v.key} }

// wipe forgets the volume keys.
func (v *volume) wipe() {
	v.keys().wipe()
	v.header.Wipe()
}

// enrollAll adds the keyslots of all keys, each of which somebody has asked for by name.
func (v *volume) enrollAll(ctx context.Context, env Env, keys []definitions.Key) error {
	for i, k := range keys {
		if err := v.enroll(ctx, env, k); err != nil {
			return fmt.Errorf("key %d (%s): %w", i+1, k.Type, err)
		}
	}
	return nil
}

// enroll adds the keyslots of one key with their tokens, and proves them. There is
// one for each volume key, under the same secret, and a token for each, which is the
// form that all programs with tokens understand.
func (v *volume) enroll(ctx context.Context, env Env, k definitions.Key) error {
	sealer, ok := env.sealer(k.Type)
	if !ok {
		return fmt.Errorf("this machine has nothing that can use keys of type %q", k.Type)
	}
	sealed, err := sealer.Seal(ctx, k)
	if errors.Is(err, ErrAbsent) {
		err = &absentKeyError{err}
	}
	if err != nil {
		return err
	}
	defer sealed.Passphrase.Wipe()
	if err := v.checkNew(ctx, sealed); err != nil {
		return err
	}
	if sealed.Unproven == "" {
		v.proven++
	} else {
		v.unproven, v.notAlone = append(v.unproven, sealed.Unproven), v.notAlone || sealed.NotAlone
	}
	for _, key := range []*secret.Buffer{v.key, v.old} {
		if key == nil {
			continue
		}
		slot, err := v.addKeyslot(ctx, env, key, sealed, v.tokenFor(k, sealed))
		if err != nil {
			return err
		}
		if err := v.prove(ctx, sealer, k, sealed, slot, key); err != nil {
			return err
		}
	}
	return nil
}

// tokenFor returns the token of a key's keyslots, nil for none. In a volume that was
// there before, and where the plan asks for it, a file key's are marked, so that
// everybody can tell them from those that were to go.
func (v *volume) tokenFor(k definitions.Key, sealed Sealed) []byte {
	if sealed.Token == nil && (v.over != nil || v.mark) && k.Type == definitions.KeyFile {
		return []byte(`{"type":"` + disk.TokenFile + `"}`)
	}
	return sealed.Token
}

// addKeyslot adds a keyslot that holds key, with its token, which gets a MAC: see signNote.
func (v *volume) addKeyslot(ctx context.Context, env Env, key *secret.Buffer, sealed Sealed, unbound []byte) (int, error) {
	add := v.header.AddKeyslot
	if v.old != nil && key == v.key {
		add = v.header.AddUnboundKeyslot
	}
	slot, err := add(ctx, v.device, key.Bytes(), sealed.Passphrase.Bytes(), sealed.KDF, env.Random)
	if err != nil || unbound == nil {
		return slot, err
	}
	token, err := bindToken(unbound, slot)
	if err == nil {
		token, err = signNote(v.header, v.key, token)
	}
	if err != nil {
		return slot, err
	}
	_, err = v.header.AddToken(token)
	return slot, err
}

// checkProven refuses keys none of which could be unsealed here: the data that they are to
// guard is somebody's only copy.
func (v *volume) checkProven() error {
	if v.proven > 0 || len(v.unproven) == 0 {
		return nil
	}
	return fmt.Errorf("no key could be shown to open the volume: %s; add one that opens here, such as a recovery key", strings.Join(v.unproven, ", "))
}

// prove unseals a key from what will be on the disk, unless it was handed out or is for
// another machine or moment, and compares what it opens with the volume key. Only keys that passed this may guard data.
func (v *volume) prove(ctx context.Context, sealer Sealer, k definitions.Key, sealed Sealed, slot int, key *secret.Buffer) error {
	passphrase := sealed.Passphrase
	if !sealed.HandedOut && sealed.Unproven == "" {
		var err error
		if passphrase, err = sealer.Unseal(ctx, k, sealed.Token); err != nil {
			return fmt.Errorf("sealed, but cannot be unsealed again: %w", err)
		}
		defer passphrase.Wipe()
	}
	opened, err := v.header.OpenKeyslot(ctx, v.device, slot, passphrase.Bytes())
	if err != nil {
		return fmt.Errorf("sealed, but keyslot %d does not open by it: %w", slot, err)
	}
	defer secret.Wipe(opened)
	if !bytes.Equal(opened, key.Bytes()) {
		return fmt.Errorf("sealed, but keyslot %d gives another key", slot)
	}
	return nil
}

// bindToken sets the keyslots of a token.
func bindToken(token []byte, slot int) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(token, &fields); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	fields["keyslots"], _ = json.Marshal([]string{strconv.Itoa(slot)})
	return json.Marshal(fields)
}
