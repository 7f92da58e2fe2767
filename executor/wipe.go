package executor

import (
	"encoding/json"
	"fmt"

	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/disk"
	"github.com/sealpart/sealpart/luks2"
)

// TokenType is the type of our own token. It is there only between a finished
// conversion and the wiping of the old data that it left behind: the moved copy of
// the first bytes, or the journal of the last hot zone.
const TokenType = "sealpart"

// wipeNote is the content of our token: what is still to be overwritten, counted
// from the start of the device with the header. It is not authenticated; what it
// says is checked against what must not be touched.
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

// wipeLeftover overwrites what our token names and then drops the token and lets the
// volume's segment reach to the end of the partition, in one header write. A power
// cut before that write leaves the token: the next run wipes again.
func (c *conversion) wipeLeftover() error {
	token, ok := findWipeToken(c.header)
	if !ok {
		return nil
	}
	note, err := c.readWipeNote(token)
	if err != nil {
		return err
	}
	if err := blockdev.WriteZeroes(c.home, disk.Extent{Offset: disk.Bytes(note.Offset), Size: disk.Bytes(note.Size)}); err != nil {
		return fmt.Errorf("wipe the old data at %d: %w", note.Offset, err)
	}
	if err := c.home.Sync(); err != nil {
		return err
	}
	if err := c.header.RemoveToken(token.ID); err != nil {
		return err
	}
	if err := c.header.SetDynamicSize(); err != nil {
		return err
	}
	if err := c.header.Commit(c.home); err != nil {
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

// readWipeNote decodes our token and refuses one that would wipe a header, a keyslot
// or the volume's data.
func (c *conversion) readWipeNote(token luks2.Token) (wipeNote, error) {
	var note wipeNote
	if err := json.Unmarshal(token.Raw, &note); err != nil {
		return note, fmt.Errorf("token %d: %w", token.ID, err)
	}
	wipe := disk.Extent{Offset: disk.Bytes(note.Offset), Size: disk.Bytes(note.Size)}
	if wipe.Offset < 0 || wipe.Size < 0 || wipe.Offset > c.homeSize-wipe.Size {
		return note, fmt.Errorf("token %d wants to wipe %d bytes at %d, which are not on the device", token.ID, note.Size, note.Offset)
	}
	for _, e := range c.untouchable() {
		if wipe.Overlaps(e) {
			return note, fmt.Errorf("token %d wants to wipe %d bytes at %d, and %d bytes at %d are in use", token.ID, note.Size, note.Offset, e.Size, e.Offset)
		}
	}
	return note, nil
}

// untouchable returns what of the header's device is in use: both header copies, the
// keyslots, and the data, where it lies there.
func (c *conversion) untouchable() []disk.Extent {
	extents := []disk.Extent{{Size: 2 * disk.Bytes(c.header.HeaderSize)}}
	for _, slot := range c.header.Keyslots() {
		extents = append(extents, disk.Extent{Offset: disk.Bytes(slot.AreaOffset), Size: disk.Bytes(slot.AreaSize)})
	}
	if c.header.DataOffset() == 0 {
		return extents // the data lies on another device
	}
	for _, s := range c.header.Segments() {
		e := disk.Extent{Offset: disk.Bytes(s.Offset), Size: disk.Bytes(s.Size)}
		if s.Size == luks2.Dynamic {
			e.Size = c.homeSize - e.Offset
		}
		extents = append(extents, e)
	}
	return extents
}
