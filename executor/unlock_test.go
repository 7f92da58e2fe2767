package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// typed is a passphrase that somebody gives.
type typed struct {
	stub
	text string
}

func (typed) Kind() string      { return definitions.KeyFile }
func (typed) TokenType() string { return "" }

func (k typed) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return secret.Take([]byte(k.text))
}

// TestPassphraseWithoutTokens: a passphrase is tried on the keyslots of recovery keys and of
// tokens that nobody here can use, and not on those of our tokens; on one that is named it
// is.
func TestPassphraseWithoutTokens(t *testing.T) {
	v := newLUKSVolume(t)
	written := strings.TrimSuffix(strings.Repeat("cbdefghi-", 8), "-") // a recovery key
	v.add(written)
	dev := simdev.New(v.bytes())
	h, err := luks2.Read(dev, int64(dev.Size()))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{`{"type":"stub","keyslots":["0"]}`, `{"type":"of-others","keyslots":["1"]}`, `{"type":"systemd-recovery","keyslots":["2"]}`} {
		if _, err := h.AddToken([]byte(token)); err != nil {
			t.Fatal(err)
		}
	}
	env := Env{Sealers: []Sealer{stub{}, paper{}}, Keys: []definitions.Key{{Type: definitions.KeyFile}}}
	if left := withoutTokens(env, h, []int{0, 1, 2}); !slices.Equal(left, []int{1, 2}) {
		t.Errorf("tried are the keyslots %v", left)
	}
	for text, opens := range map[string]bool{"first": false, "second": true, written: true} {
		given := env
		given.Sealers = append([]Sealer{typed{text: text}}, env.Sealers...)
		key, err := Unlock(t.Context(), given, h, dev)
		if opens != (err == nil) || !opens && (!errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "tried [1 2]")) {
			t.Errorf("%s: %v", text, err)
		}
		key.Wipe()
	}
	env.Sealers = append([]Sealer{typed{text: "first"}}, env.Sealers...)
	if test := TestKeyslot(t.Context(), env, h, dev, 0); test.Err != nil {
		t.Errorf("a keyslot that is named: %v", test.Err)
	}
}
