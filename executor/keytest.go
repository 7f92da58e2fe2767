package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// KeyTest is what trying one keyslot gave.
type KeyTest struct {
	Keyslot int
	Token   *luks2.Token  // the one that was asked; nil where keys without one were
	Took    time.Duration // from asking the token or reading the key on
	Err     error         // nil: it opens
}

// ErrNotGiven says that a keyslot opens by a passphrase, and that none was given.
var ErrNotGiven = errors.New("it opens by a passphrase or key file, and none was given")

// TestKeyslot tries to open a keyslot, as Unlock would, by its tokens and then by every
// key of env.Keys, and forgets what it gives.
func TestKeyslot(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, slot int) KeyTest {
	test := KeyTest{Keyslot: slot}
	began := time.Now()
	key, err := test.byTokens(ctx, env, h, r)
	if key == nil && (err == nil || len(env.Keys) > 0) {
		var byKey error
		if key, byKey = testKeys(ctx, env, h, r, slot); key != nil {
			err = nil
		} else {
			err = errors.Join(err, byKey)
		}
	}
	key.Wipe()
	test.Took, test.Err = time.Since(began), err
	return test
}

// byTokens tries the tokens of the keyslot, and notes the last. It returns neither a key
// nor an error where there are none, or none but that of a recovery key, which has
// nothing to say.
func (t *KeyTest) byTokens(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt) (key *secret.Buffer, err error) {
	for _, token := range openingTokens(h) {
		if !slices.Contains(token.Keyslots, t.Keyslot) {
			continue
		}
		t.Token = &token
		if token.Type == disk.TokenRecovery {
			continue
		}
		if key, err = unlockByToken(ctx, env, h, r, token, []int{t.Keyslot}); err == nil {
			return key, nil
		}
	}
	return nil, err
}

// testKeys tries the keys that were given on a keyslot.
func testKeys(ctx context.Context, env Env, h *luks2.Header, r io.ReaderAt, slot int) (*secret.Buffer, error) {
	err := ErrNotGiven
	for _, k := range env.Keys {
		var key *secret.Buffer
		if key, err = unlockByKey(ctx, env, h, r, k, []int{slot}); err == nil {
			return key, nil
		}
		err = fmt.Errorf("%s key %s: %w", k.Type, k.Path, err)
	}
	return nil, err
}

// OpeningOrder returns the keyslots of a volume's data in the order in which Unlock
// tries them: those of tokens, then those without.
func OpeningOrder(h *luks2.Header) (order []int) {
	slots := holding(h, luks2.HoldsFinal)
	for _, token := range openingTokens(h) {
		for _, slot := range token.Keyslots {
			if slices.Contains(slots, slot) && !slices.Contains(order, slot) {
				order = append(order, slot)
			}
		}
	}
	for _, slot := range slots {
		if !slices.Contains(order, slot) {
			order = append(order, slot)
		}
	}
	return order
}

// openingTokens returns the tokens that guard secrets, in the order in which they are
// tried: by the priority of their keyslots, then by id. Those that only mark something
// are left out.
func openingTokens(h *luks2.Header) []luks2.Token {
	priority := map[int]int{}
	for _, s := range h.Keyslots() {
		priority[s.ID] = s.Priority
	}
	best := func(t luks2.Token) int {
		p := luks2.PriorityIgnore
		for _, slot := range t.Keyslots {
			p = max(p, priority[slot])
		}
		return p
	}
	tokens := slices.DeleteFunc(h.Tokens(), func(t luks2.Token) bool {
		return slices.Contains([]string{disk.TokenWipe, disk.TokenFile, disk.TokenAwaits, disk.TokenRekeyed, disk.TokenPattern}, t.Type)
	})
	slices.SortStableFunc(tokens, func(a, b luks2.Token) int { return cmp.Compare(best(b), best(a)) })
	return tokens
}
