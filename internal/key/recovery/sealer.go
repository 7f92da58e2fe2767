package recovery

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/modhex"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// token is systemd's, which says only what the keyslot is. The second field is ours;
// systemd's tools pass it over.
type token struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	// Escrow is an age file that holds the key.
	Escrow []byte `json:"sealpart-escrow,omitempty"`
}

// Sealer is the key.Sealer of keys of type recovery.
type Sealer struct {
	Terminal string // the device to show keys on, such as "/dev/tty"
	Files    *Files // notes the key files that it makes; nil where nobody takes them back
}

// Kind returns "recovery".
func (Sealer) Kind() string { return definitions.KeyRecovery }

// TokenType returns "systemd-recovery".
func (Sealer) TokenType() string { return disk.TokenRecovery }

// Seal makes a key and hands it out as the definition says.
func (s Sealer) Seal(_ context.Context, k definitions.Key) (key.Sealed, error) {
	text, err := modhex.Random(rand.Reader)
	if err != nil {
		return key.Sealed{}, err
	}
	t := token{Type: disk.TokenRecovery, Keyslots: []string{}}
	switch {
	case len(k.Escrow) > 0:
		t.Escrow, err = encrypt(text.Bytes(), k.Escrow)
	case k.Path != "":
		text, err = s.Files.keep(text, k.Path)
	default:
		err = show(s.Terminal, text)
	}
	if err != nil {
		text.Wipe()
		return key.Sealed{}, err
	}
	raw, err := json.Marshal(t)
	return key.Sealed{Passphrase: text, Token: raw, KDF: luks2.TokenKDF(), HandedOut: true}, err
}

// errTyped says that no machine has this key.
var errTyped = errors.New("a recovery key is kept by people; where nothing else opens the volume give it with --key-file")

// Unseal fails: nothing here brings the key back.
func (Sealer) Unseal(context.Context, definitions.Key, []byte) (*secret.Buffer, error) {
	return nil, errTyped
}

// Escrow returns the age file that a token holds, nil where there is none.
func Escrow(raw []byte) []byte {
	var t token
	if json.Unmarshal(raw, &t) != nil || t.Type != disk.TokenRecovery || !bytes.HasPrefix(t.Escrow, []byte("age-encryption.org/")) {
		return nil
	}
	return t.Escrow
}
