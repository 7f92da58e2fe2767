package probe

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/luks2"
)

// The first bytes of a LUKS header, and of the second copy of a LUKS2 header
// (LUKS2 On-Disk Format Specification, section 2.1).
const (
	luksMagic  = "LUKS\xba\xbe"
	luksMagic2 = "SKUL\xba\xbe"
)

// findLUKS finds a LUKS1 header, or a LUKS2 header by either of its two copies.
func findLUKS(m *image) (disk.Content, bool) {
	if m.has(0, luksMagic) {
		return m.luks(), true
	}
	for at := int64(16 << 10); at <= 4<<20; at *= 2 { // where cryptsetup looks for the second
		if !m.has(at, luksMagic2) {
			continue
		}
		if offset := m.at(at+256, 8); offset != nil && binary.BigEndian.Uint64(offset) == uint64(at) {
			return m.luks2(), true
		}
	}
	return disk.Content{}, false
}

// luks reads the header that begins at byte 0.
func (m *image) luks() disk.Content {
	header := m.at(0, 208)
	if header != nil && binary.BigEndian.Uint16(header[6:]) == 1 {
		return disk.Content{Kind: "crypto_LUKS", Version: "1", UUID: text(header[168:208])}
	}
	return m.luks2()
}

// luks2 describes a LUKS2 volume, or says why it cannot be described. It is all or
// nothing: half a description would let a volume in conversion pass for a finished one.
func (m *image) luks2() disk.Content {
	c := disk.Content{Kind: "crypto_LUKS", Version: "2"}
	header, err := luks2.Read(m.r, m.size)
	if errors.Is(err, luks2.ErrDamaged) {
		if staged := m.stagedHeader(); staged != nil {
			header, err = staged, nil
		}
	}
	if err == nil {
		c.UUID, c.Label = text([]byte(header.UUID)), text([]byte(header.Label))
		var volume *disk.LUKS
		if volume, err = LUKS(header, luks2.Place{Size: m.size}); err == nil {
			c.LUKS = volume
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, luks2.ErrDamaged) || errors.Is(err, luks2.ErrNotLUKS2) || header != nil:
		c.Problem = text([]byte(err.Error()))
	case m.err == nil:
		m.err = err
	}
	return c
}

// stagedHeader looks for the header of a conversion that was cut off while it wrote
// the front of the volume. Until the front is valid the whole header stands behind
// the data as well, one shift before the moved first bytes, which end the device;
// the conversion is resumed from there (executor, conversion.init).
func (m *image) stagedHeader() *luks2.Header {
	end := int64(disk.Bytes(m.size).RoundDown(4096)) // a conversion uses whole blocks
	for shift := int64(disk.MiB); shift <= int64(64*disk.MiB) && 2*shift < end; shift += int64(disk.MiB) {
		at := end - 2*shift
		if !m.has(at, luksMagic) {
			continue
		}
		header, err := luks2.Read(io.NewSectionReader(m.r, at, shift), shift)
		if err != nil {
			continue
		}
		// A header that another volume left behind is not ours.
		if r, err := header.Reencryption(m.size); err == nil && r != nil && r.DataOffset == shift && r.Moved.Offset+shift == end {
			return header
		}
	}
	return nil
}

// LUKS takes from a header what it tells without a key. It fails where the
// header contradicts itself, does not fit the device, or would not encrypt: what nobody
// may open.
func LUKS(h *luks2.Header, p luks2.Place) (*disk.LUKS, error) {
	l := &disk.LUKS{
		HeaderSize: disk.Bytes(h.HeaderSize), SequenceID: h.SequenceID, Subsystem: text([]byte(h.Subsystem)),
		DataOffset: disk.Bytes(h.DataOffset()), Cipher: h.Cipher(), KeyBits: h.KeySize() * 8, SectorSize: disk.Bytes(h.SectorSize()),
		Recovered: text([]byte(h.Recovered())), JSONRoom: disk.Bytes(max(h.JSONRoom(), 1)),
	}
	if size, fixed := h.DataSize(); fixed {
		l.FixedSize = disk.Bytes(size)
	}
	for _, size := range h.KeyslotRoom() {
		l.KeyslotRoom = append(l.KeyslotRoom, disk.Bytes(size))
	}
	if len(l.KeyslotRoom) == 0 {
		l.KeyslotRoom = []disk.Bytes{0}
	}
	if emptied, err := h.JSONRoomEmptied(); err == nil {
		l.JSONEmptied = disk.Bytes(max(emptied, 1))
	}
	for _, slot := range h.Keyslots() {
		if slot.Type != "reencrypt" { // that one records the conversion and opens nothing
			l.Keyslots = append(l.Keyslots, disk.Keyslot{ID: slot.ID, KDF: slot.KDF.Type, Unreadable: text([]byte(slot.Unreadable()))})
		}
	}
	for _, token := range h.Tokens() {
		l.Tokens = append(l.Tokens, describeToken(token))
	}
	if err := h.Writable(); err != nil {
		l.ReadOnly = text([]byte(err.Error()))
	}
	_, err := h.Activation(p)
	if errors.Is(err, luks2.ErrUnsupported) {
		l.Unsupported, err = text([]byte(err.Error())), nil
	}
	if err != nil {
		return l, err
	}
	r, err := h.Reencryption(h.VolumeEnd(p.Size))
	if err != nil || r == nil {
		return l, err
	}
	l.Reencryption = &disk.Reencryption{
		Mode: r.Mode, Direction: r.Direction, Resilience: r.Resilience, State: reencryptionState(r.State),
		Done: disk.Bytes(r.DataSize - r.Remaining - r.HotLength), Total: disk.Bytes(r.DataSize),
		PreviousCipher: r.Previous.Encryption, Resume: resumeKeyslots(h, r),
	}
	return l, nil
}

// resumeKeyslots returns which keyslots are opened to resume a conversion: one with the
// final volume key, and where old data is left under the previous one, one with that.
func resumeKeyslots(h *luks2.Header, r *luks2.Reencryption) [][]int {
	with := func(what luks2.Holds) []int {
		slots := []int{} // none at all is worth telling
		for _, s := range h.Keyslots() {
			if s.Type == "luks2" && s.Holds == what && s.Priority != luks2.PriorityIgnore {
				slots = append(slots, s.ID)
			}
		}
		return slots
	}
	needs := [][]int{with(luks2.HoldsFinal)}
	if r.Mode == "reencrypt" && r.State != luks2.Unfinished {
		needs = append(needs, with(luks2.HoldsPrevious))
	}
	return needs
}

func reencryptionState(s luks2.State) disk.ReencryptionState {
	switch s {
	case luks2.Crash:
		return disk.ReencryptCrash
	case luks2.Unfinished:
		return disk.ReencryptUnfinished
	}
	return disk.ReencryptClean
}

// describeToken takes from a token what its keyslots are bound to. Whether a token
// is sound is for the room that uses it; here a field of the wrong type is absent.
func describeToken(t luks2.Token) disk.Token {
	token := disk.Token{ID: t.ID, Type: t.Type, Keyslots: t.Keyslots}
	var fields map[string]json.RawMessage
	if json.Unmarshal(t.Raw, &fields) != nil {
		return token
	}
	switch t.Type {
	case disk.TokenPKCS11:
		// A URI's query may hold a PIN.
		token.URI, _, _ = strings.Cut(decoded[string](fields["pkcs11-uri"]), "?")
		token.KeySHA256 = decoded[string](fields["sealpart-key-sha256"])
		return token
	case disk.TokenCommand:
		token.Module = decoded[string](fields["module"])
		return token
	case disk.TokenAwaits:
		if token.Awaits = decoded[[]string](fields["keys"]); len(token.Awaits) == 0 {
			token.Awaits = nil // as it comes back from JSON
		}
		return token
	case disk.TokenPattern:
		token.Pattern = text([]byte(decoded[string](fields["verification-pattern"])))
		return token
	case disk.TokenTPM2:
	default:
		return token
	}
	token.PCRs = decoded[[]int](fields["tpm2-pcrs"])
	token.Bank = decoded[string](fields["tpm2-pcr-bank"])
	token.PIN = decoded[bool](fields["tpm2-pin"])
	token.PublicKeyPCRs = decoded[[]int](fields["tpm2_pubkey_pcrs"])
	token.PCRLock = decoded[bool](fields["tpm2_pcrlock"])
	token.SRK = fields["tpm2_srk"] != nil
	token.PCRValues = decoded[map[int]string](fields["sealpart_pcr_values"])
	if len(token.PCRs) == 0 {
		token.PCRs = nil // as it comes back from JSON
	}
	if len(token.PublicKeyPCRs) == 0 {
		token.PublicKeyPCRs = nil
	}
	return token
}

// decoded returns the value of a JSON text, zero where it is of another type.
func decoded[T any](raw json.RawMessage) T {
	var value, none T
	if json.Unmarshal(raw, &value) != nil {
		return none
	}
	return value
}
