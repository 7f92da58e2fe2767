package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// errLeftover says that old data of a finished conversion is not wiped yet, for nobody could
// say whether the note of it is genuine. Nothing else is missing, and the volume is whole.
var errLeftover = errors.New("old data that its conversion left is not wiped yet: the volume must be opened for that")

// wipeNote is the content of a token of the type disk.TokenWipe: what is still to be
// overwritten, counted from the start of the device with the header. note.go says when it
// is believed; and then it is checked against what must not be touched.
type wipeNote struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
	Offset   int64    `json:"wipe-offset,string"`
	Size     int64    `json:"wipe-size,string"`
	// Clear says what is to be zeroed besides before the volume is finished: see clear.go.
	Clear clearing `json:"clear,omitempty"`
}

// noteWipe adds the note of what is to be wiped and cleared, in the place of the one that is
// there. It changes the header in memory.
func noteWipe(h *luks2.Header, key *secret.Buffer, e disk.Extent, what clearing) error {
	if old, ok := findWipeToken(h, key); ok {
		if err := h.RemoveToken(old.ID); err != nil {
			return err
		}
	}
	if e.Size == 0 && what == clearNothing {
		return nil
	}
	token, err := json.Marshal(wipeNote{Type: disk.TokenWipe, Keyslots: []string{}, Offset: int64(e.Offset), Size: int64(e.Size), Clear: what})
	if err != nil {
		return err
	}
	if token, err = signNote(h, key, token); err != nil {
		return err
	}
	_, err = h.AddToken(token)
	return err
}

// leftoverKey opens a volume whose conversion is finished, and whose header has a note of
// old data that it left. Without such a note it returns no key.
func (c *conversion) leftoverKey(ctx context.Context) (dataKeys, error) {
	if len(notesOf(c.header, disk.TokenWipe)) == 0 {
		return dataKeys{}, nil
	}
	key, err := c.open(ctx, luks2.HoldsFinal)
	if err != nil {
		return dataKeys{}, fmt.Errorf("%w: %w", errLeftover, err)
	}
	return dataKeys{new: key}, nil
}

// wipeLeftover overwrites what the volume's own note names and then drops the note, or what
// of it is done, and lets the volume's segment reach to the end of the partition, in one
// header write. A power cut before that write leaves the note: the next run wipes again.
func (c *conversion) wipeLeftover(key *secret.Buffer) error {
	note, ok, err := c.ownNote(key)
	if err != nil || !ok {
		return err
	}
	return changing(c.header, c.home, func() error { return c.wipeNoted(note, key) })
}

// wipeNoted does what a note says.
func (c *conversion) wipeNoted(note wipeNote, key *secret.Buffer) error {
	if err := blockdev.WriteZeroes(c.home, disk.Extent{Offset: disk.Bytes(note.Offset), Size: disk.Bytes(note.Size)}); err != nil {
		return fmt.Errorf("wipe the old data at %d: %w", note.Offset, err)
	}
	if err := c.home.Sync(); err != nil {
		return err
	}
	if err := noteWipe(c.header, key, disk.Extent{}, c.leaves); err != nil {
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

// ownNote returns the genuine note, if there is one.
func (c *conversion) ownNote(key *secret.Buffer) (wipeNote, bool, error) {
	token, ok := findWipeToken(c.header, key)
	if !ok {
		return wipeNote{}, false, nil
	}
	note, err := c.readWipeNote(token)
	return note, true, err
}

// findWipeToken returns the genuine note.
func findWipeToken(h *luks2.Header, key *secret.Buffer) (luks2.Token, bool) {
	for _, token := range notesOf(h, disk.TokenWipe) {
		if genuine(h, key, token) {
			return token, true
		}
	}
	return luks2.Token{}, false
}

// readWipeNote decodes our note and refuses one that would wipe a header, a keyslot
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
