package executor

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/luks2"
)

// Notes are tokens of ours that something is done for: see disk.TokenFile and its like.
// Whoever has the disk can write one, so each carries a MAC under a key that comes from the
// volume key, and is believed only once the volume is unlocked and the MAC is right:
//
//	key = HKDF-SHA256(volume key, salt: UUID of the header, info: "sealpart note v1")
//	mac = HMAC-SHA256(key, UUID, content, then for each keyslot of the note: its number,
//	      where its area begins, the salt of its KDF)
//
// in hexadecimal, in the note's member "mac". Each part is preceded by its length. The
// content is the note's JSON without that member, its names in order: other programs may
// write it in another. While a volume key is replaced, it is the final one that counts.
//
// The tokens of keys that are made here have such a MAC, too, as "sealpart-mac": other
// programs read those tokens, and a module's may have a "mac" of its own. It vouches that the
// keyslot was made for this token where the key itself is not at hand (marks.go).
//
// So a note cannot be made, changed, or moved to another volume or another keyslot by whoever
// has no key of the volume. An older note of the same volume can be put back, as its whole
// old header can: it has done again what it once said.
var noteTypes = []string{disk.TokenFile, disk.TokenAwaits, disk.TokenRekeyed, disk.TokenWipe}

const (
	noteInfo = "sealpart note v1"
	noteMAC  = "mac" // the member of a note with its MAC
)

// macMember names the member of a token with its MAC.
func macMember(members map[string]any) string {
	if kind, _ := members["type"].(string); slices.Contains(noteTypes, kind) {
		return noteMAC
	}
	return disk.TokenMAC
}

// signNote returns a note, or the token of a key, with its MAC.
func signNote(h *luks2.Header, key *secret.Buffer, note []byte) (json.RawMessage, error) {
	members, err := membersOf(note)
	if err != nil {
		return nil, err
	}
	sum, err := sumOfNote(h, key, members)
	if err != nil {
		return nil, err
	}
	members[macMember(members)] = hex.EncodeToString(sum)
	return json.Marshal(members)
}

// genuine reports whether a note, or the token of a key, has the MAC that the volume's key
// gives it. Without the key none is.
func genuine(h *luks2.Header, key *secret.Buffer, note luks2.Token) bool {
	if key == nil {
		return false
	}
	members, err := membersOf(note.Raw)
	if err != nil {
		return false
	}
	text, _ := members[macMember(members)].(string)
	given, err := hex.DecodeString(text)
	if err != nil {
		return false
	}
	sum, err := sumOfNote(h, key, members)
	return err == nil && hmac.Equal(given, sum)
}

// membersOf decodes a note. Numbers stay as they are written.
func membersOf(note []byte) (map[string]any, error) {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(note))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return nil, fmt.Errorf("note: %w", err)
	}
	return members, nil
}

// sumOfNote computes the MAC of a note, whatever MAC it has.
func sumOfNote(h *luks2.Header, key *secret.Buffer, members map[string]any) ([]byte, error) {
	own := make(map[string]any, len(members))
	for name, value := range members {
		if name != macMember(members) {
			own[name] = value
		}
	}
	content, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	var covered []byte
	for _, part := range append([][]byte{[]byte(h.UUID), content}, keyslotParts(h, members)...) {
		covered = append(binary.BigEndian.AppendUint64(covered, uint64(len(part))), part...)
	}
	macKey := secret.HKDF256(key.Bytes(), []byte(h.UUID), noteInfo)
	defer secret.Wipe(macKey)
	return secret.HMAC256(macKey, covered), nil
}

// keyslotParts returns what tells the keyslots of a note from others, in their order in the
// note. One that is not there has no salt.
func keyslotParts(h *luks2.Header, members map[string]any) (parts [][]byte) {
	listed, _ := members["keyslots"].([]any)
	slots := h.Keyslots()
	for _, name := range listed {
		text, _ := name.(string)
		id, err := strconv.Atoi(text)
		if err != nil {
			continue // the content says it all the same
		}
		area := make([]byte, 8)
		if i := slices.IndexFunc(slots, func(s luks2.Keyslot) bool { return s.ID == id }); i >= 0 {
			binary.BigEndian.PutUint64(area, uint64(slots[i].AreaOffset))
		}
		parts = append(parts, []byte(text), area, h.Salt(id))
	}
	return parts
}

// notesOf returns the notes of a type.
func notesOf(h *luks2.Header, kind string) []luks2.Token {
	return slices.DeleteFunc(h.Tokens(), func(t luks2.Token) bool { return t.Type != kind })
}

// reportForged warns of every note of a volume that its key, which opens it, does not vouch
// for, and says what would have been done for it.
func reportForged(env Env, event Event, h *luks2.Header, key *secret.Buffer) {
	for _, note := range h.Tokens() {
		if slices.Contains(noteTypes, note.Type) && !genuine(h, key, note) {
			reportNote(env, event, note)
		}
	}
}

// reportNote warns of one note.
func reportNote(env Env, event Event, note luks2.Token) {
	event.Phase = Distrusted
	event.Step = fmt.Sprintf("token %d (%s) has no valid MAC of the volume's key, and nothing is done for it: %s; \"cryptsetup token remove --token-id %d\" removes it",
		note.ID, note.Type, purposeOf(note), note.ID)
	env.report(event)
}

// markRekeyed notes in a header, in memory, that its volume key was made here: see
// disk.TokenRekeyed. A note of that kind that was there spoke of another key.
func (v *volume) markRekeyed() error {
	for _, before := range notesOf(v.header, disk.TokenRekeyed) {
		if err := v.header.RemoveToken(before.ID); err != nil {
			return err
		}
	}
	token, err := signNote(v.header, v.key, []byte(`{"type":"`+disk.TokenRekeyed+`","keyslots":[]}`))
	if err != nil {
		return err
	}
	_, err = v.header.AddToken(token)
	return err
}

// purposeOf says what a note is for.
func purposeOf(note luks2.Token) string {
	switch note.Type {
	case disk.TokenAwaits:
		names := namesAwaited(note)
		return fmt.Sprintf("it would have keys added (%.200q)", names)
	case disk.TokenRekeyed:
		return "it would have the volume count as rekeyed"
	case disk.TokenFile:
		return fmt.Sprintf("it would have keyslots %v count as those of a key file of the definition", note.Keyslots)
	}
	return "it would have a place on the disk overwritten"
}
