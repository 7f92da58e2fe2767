package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// ErrNoKey says that none of a volume's keys can be used here. The volume is
// intact; what the caller can do is bring the key: the TPM it was sealed to, or a
// key file.
var ErrNoKey = errors.New("no key opens this volume")

// Unlock returns the volume key of a LUKS2 volume, for one in conversion that of its
// final form: every token is tried, by priority and id, then every key of env.Keys. r is what
// the header lies on. Where none opens it, the error is ErrNoKey with the reason of
// each.
func Unlock(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt) (*secret.Buffer, error) {
	return unlock(ctx, env, h, r, luks2.HoldsFinal)
}

// unlock returns one of the volume's keys.
func unlock(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, what luks2.Holds) (*secret.Buffer, error) {
	return unlockSlots(ctx, env, h, r, unlocking(h, what))
}

// unlockSlots returns the volume key that the first of these keyslots gives which opens.
func unlockSlots(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, slots []int) (*secret.Buffer, error) {
	var failed misses
	for _, token := range openingTokens(h) {
		key, err := unlockByToken(ctx, env, h, r, token, slots)
		if err == nil {
			return key, nil
		}
		failed.add(fmt.Sprintf("token %d (%s)", token.ID, token.Type), err)
	}
	for _, k := range env.Keys {
		key, err := unlockByKey(ctx, env, h, r, k, withoutTokens(env, h, slots))
		if err == nil {
			return key, nil
		}
		failed.add(fmt.Sprintf("%s key %s", k.Type, k.Path), err)
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("%w: it has no token, and no key was given", ErrNoKey)
	}
	return nil, fmt.Errorf("%w: %w", ErrNoKey, failed.join())
}

// misses is why keys do not open a volume. Those that fail of the same are told
// together: four tokens of a TPM that is not there are one failure.
type misses []miss

type miss struct {
	keys []string
	why  error
}

// add notes that a key fails.
func (f *misses) add(key string, why error) {
	for i := range *f {
		if (*f)[i].why.Error() == why.Error() {
			(*f)[i].keys = append((*f)[i].keys, key)
			return
		}
	}
	*f = append(*f, miss{[]string{key}, why})
}

// join makes one error of all.
func (f misses) join() error {
	var reasons []error
	for _, one := range f {
		reasons = append(reasons, fmt.Errorf("%s: %w", strings.Join(one.keys, ", "), one.why))
	}
	return errors.Join(reasons...)
}

// unlocking returns the keyslots that hold one of the volume's keys, but those that are to
// be tried only when they are named (priority "ignore").
func unlocking(h *luks2.Header, what luks2.Holds) []int {
	ignored := func(id int) bool {
		return slices.ContainsFunc(h.Keyslots(), func(s luks2.Keyslot) bool { return s.ID == id && s.Priority == luks2.PriorityIgnore })
	}
	return slices.DeleteFunc(holding(h, what), ignored)
}

// withoutTokens leaves out the keyslots of tokens that this program can use, but for those
// of recovery keys: nobody has a passphrase for them, and each would cost its derivation.
// Who names such a keyslot (TestKeyslot) has it tried.
func withoutTokens(env Env, h *luks2.Header, slots []int) []int {
	guarded := func(slot int) bool {
		return slices.ContainsFunc(h.Tokens(), func(t luks2.Token) bool {
			_, ours := env.tokenSealer(t.Type)
			return ours && t.Type != disk.TokenRecovery && slices.Contains(t.Keyslots, slot)
		})
	}
	return slices.DeleteFunc(slices.Clone(slots), guarded)
}

// unlockByToken opens those of the keyslots that are a token's.
func unlockByToken(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, token luks2.Token, slots []int) (*secret.Buffer, error) {
	slots = slices.DeleteFunc(slices.Clone(slots), func(id int) bool { return !slices.Contains(token.Keyslots, id) })
	if len(slots) == 0 {
		return nil, errors.New("it is for no keyslot of this key")
	}
	sealer, ok := env.tokenSealer(token.Type)
	if !ok {
		return nil, errors.New("this kind of token cannot be used here")
	}
	passphrase, err := sealer.Unseal(h.Budgeted(ctx), definitions.Key{Type: sealer.Kind()}, token.Raw)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	return openAny(ctx, h, r, slots, passphrase)
}

// unlockByKey tries a key without a token on the keyslots.
func unlockByKey(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, k definitions.Key, slots []int) (*secret.Buffer, error) {
	sealer, ok := env.sealer(k.Type)
	if !ok {
		return nil, errors.New("this kind of key cannot be used here")
	}
	passphrase, err := sealer.Unseal(ctx, k, nil)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	return openAny(ctx, h, r, slots, passphrase)
}

// openAny returns the key of the first of these keyslots that the passphrase opens.
// One that could not be tried is told only where no other opens.
func openAny(ctx context.Context, h *luks2.Header, r io.ReaderAt, slots []int, passphrase *secret.Buffer) (*secret.Buffer, error) {
	var broken error
	for _, slot := range slots {
		key, err := openKeyslot(ctx, h, r, slot, passphrase)
		if err == nil {
			return secret.Take(key)
		}
		if !errors.Is(err, luks2.ErrWrongPassphrase) {
			broken = errors.Join(broken, err)
		}
	}
	if broken != nil {
		return nil, broken
	}
	if len(slots) == 0 {
		return nil, errors.New("there is no keyslot that a passphrase may be for")
	}
	return nil, fmt.Errorf("%w: tried %v", luks2.ErrWrongPassphrase, slots)
}
