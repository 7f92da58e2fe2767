package module

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
)

// TokenType is the type of the tokens of command keys.
const TokenType = disk.TokenCommand

// maxBlob bounds what a module may have the header keep, in bytes: a header with several
// keys has 12 KiB for all of them.
const maxBlob = 4 << 10

// token is the JSON of a LUKS2 token.
type token struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	Module   string   `json:"module"` // name of the program, without folders
	Blob     []byte   `json:"blob"`   // base64
}

// parseToken reads a token that anybody may have written.
func parseToken(raw []byte) (token, error) {
	var t token
	if err := json.Unmarshal(raw, &t); err != nil {
		return t, fmt.Errorf("the token of the key module: %w", err)
	}
	switch {
	case t.Type != TokenType:
		return t, fmt.Errorf("the token is of the type %.40q, not %q", t.Type, TokenType)
	case !validName(t.Module):
		return t, fmt.Errorf("the token names the key module %.40q, which is no name of a program", t.Module)
	case len(t.Blob) == 0 || len(t.Blob) > maxBlob:
		return t, errors.New("the token has no blob of the key module, or one that is too large")
	}
	return t, nil
}
