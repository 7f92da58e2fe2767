package executor

import (
	"encoding/json"
	"fmt"

	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/luks2"
)

// TokenType is the type of our own token. It is there only between a finished
// conversion and the wiping of the plain copy that it left behind.
const TokenType = "sealpart"

// wipeNote is the content of our token: what is still to be overwritten, counted
// from the start of the partition. It is not authenticated; what it says is
// checked against the segment, which it must not touch.
type wipeNote struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	Offset   int64    `json:"wipe-offset,string"`
	Size     int64    `json:"wipe-size,string"`
}

// wipeToken encodes what is to be wiped.
func wipeToken(e disk.Extent) json.RawMessage {
	token, _ := json.Marshal(wipeNote{Type: TokenType, Keyslots: []string{}, Offset: int64(e.Offset), Size: int64(e.Size)})
	return token
}

// wipeMoved overwrites what our token names and then drops the token and lets the
// volume's segment reach to the end of the partition, in one header write. A power
// cut before that write leaves the token: the next run wipes again.
func (c *conversion) wipeMoved() error {
	token, ok := findWipeToken(c.header)
	if !ok {
		return nil
	}
	note, err := c.readWipeNote(token)
	if err != nil {
		return err
	}
	if err := writeZeroes(c.part, note.Offset, note.Size); err != nil {
		return fmt.Errorf("wipe the plain copy at %d: %w", note.Offset, err)
	}
	if err := c.part.Sync(); err != nil {
		return err
	}
	if err := c.header.RemoveToken(token.ID); err != nil {
		return err
	}
	if err := c.header.SetDynamicSize(); err != nil {
		return err
	}
	if err := c.header.Commit(c.part); err != nil {
		return fmt.Errorf("commit the finished header: %w", err)
	}
	return nil
}

// findWipeToken returns our token.
func findWipeToken(h *luks2.Header) (luks2.Token, bool) {
	for _, token := range h.Tokens() {
		if token.Type == TokenType {
			return token, true
		}
	}
	return luks2.Token{}, false
}

// readWipeNote decodes our token and refuses one that would wipe the header or
// the volume's data.
func (c *conversion) readWipeNote(token luks2.Token) (wipeNote, error) {
	var note wipeNote
	if err := json.Unmarshal(token.Raw, &note); err != nil {
		return note, fmt.Errorf("token %d: %w", token.ID, err)
	}
	segments := c.header.Segments()
	if len(segments) != 1 || segments[0].Size < 0 {
		return note, fmt.Errorf("token %d wants a wipe, but the volume's segment has no fixed size", token.ID)
	}
	end := segments[0].Offset + segments[0].Size
	if note.Size < 0 || note.Offset < end || note.Offset > int64(c.part.Size())-note.Size {
		return note, fmt.Errorf("token %d wants to wipe %d bytes at %d, which is not behind the volume's data (ends at %d)", token.ID, note.Size, note.Offset, end)
	}
	return note, nil
}
