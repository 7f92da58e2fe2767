package luks2

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Token says where a passphrase for some keyslots may be found. The header only
// stores it.
type Token struct {
	ID       int
	Type     string // such as "systemd-tpm2"
	Keyslots []int
	// Raw is the whole object, with Type and Keyslots.
	Raw json.RawMessage
}

func parseToken(id int, f fields) Token {
	return Token{ID: id, Type: f.word("type"), Keyslots: f.ids("keyslots"), Raw: f.object.encode()}
}

// Tokens returns the tokens in the order of their ids.
func (h *Header) Tokens() []Token {
	tokens := slices.Clone(h.meta.tokens)
	for i := range tokens {
		tokens[i].Keyslots = slices.Clone(tokens[i].Keyslots)
		tokens[i].Raw = slices.Clone(tokens[i].Raw)
	}
	return tokens
}

// AddToken stores a token under the lowest free id, which it returns. raw must be an
// object with a "type" and the "keyslots" it is for, which exist; there may be none.
// The names "luks2-…" belong to cryptsetup.
func (h *Header) AddToken(raw json.RawMessage) (int, error) {
	id, err := h.tree.tokens.free("token")
	if err != nil {
		return 0, err
	}
	return id, h.SetToken(id, raw)
}

// SetToken stores a token under id, in place of the one that may be there. See
// AddToken for raw.
func (h *Header) SetToken(id int, raw json.RawMessage) error {
	if id < 0 || id >= maxIDs {
		return fmt.Errorf("token id %d is not from 0 to %d", id, maxIDs-1)
	}
	if !json.Valid(raw) || depth(raw) > maxDepth-2 {
		return fmt.Errorf("token %d: not valid JSON, or nested too deep", id)
	}
	o, err := parseObject(raw)
	if err != nil {
		return fmt.Errorf("token %d: %w", id, err)
	}
	if kind := (fields{object: o, err: new(error)}).text("type"); strings.HasPrefix(kind, "luks2-") {
		return fmt.Errorf("token %d: type %.40q belongs to cryptsetup", id, kind)
	}
	t := h.tree.clone()
	t.tokens[id] = o
	return h.adopt(t)
}

// RemoveToken drops a token. The keyslots it is for stay.
func (h *Header) RemoveToken(id int) error {
	if _, ok := h.tree.tokens[id]; !ok {
		return fmt.Errorf("there is no token %d", id)
	}
	t := h.tree.clone()
	delete(t.tokens, id)
	return h.adopt(t)
}
