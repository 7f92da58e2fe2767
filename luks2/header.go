package luks2

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Device holds a header and its keyslots: the volume itself, or a file where the
// header is detached. What WriteAt wrote is durable once Sync returned.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Header is a LUKS2 header in memory. It holds no volume key and no passphrase. It
// is not safe for concurrent use.
type Header struct {
	HeaderSize int64 // bytes of one copy
	// SequenceID grows by one with every Commit; the higher of two valid copies wins.
	SequenceID       uint64
	Label, Subsystem string // at most 47 bytes; see SetLabel
	UUID             string

	salts         [2][saltLength]byte // primary, secondary; kept across writes
	tree          *tree
	meta          metadata
	recovered     string
	weak          int           // the copy that is written first: the worse one
	fresh         bool          // was never on a device
	formatKeySize int           // bytes, of a fresh header
	removed       []removedSlot // keyslots to wipe
	deviceSize    int64         // bytes of the data device, once a re-encryption told; else 0
	hotOnDisk     bool          // a header on disk may list a hot zone
	budget        *budget       // of its derivations; nil: nothing was spent of it
	seen          []copySum     // of the copies that were read, and written since
}

// FormatOptions say what a fresh header is like.
type FormatOptions struct {
	UUID  uuid.UUID // zero: random, from Rand
	Label string
	// HeaderSize is the bytes of one copy: 16384 (also for 0) to 4194304, a power of
	// two.
	HeaderSize int64
	// DataOffset is where the data begins, in bytes; 0 for a detached header, which
	// then takes 16 MiB of its own file.
	DataOffset int64
	Cipher     string // such as "aes-xts-plain64"
	KeySize    int    // bytes of the volume key
	SectorSize int    // 512 to 4096
	// AllowDiscards lets discards of the file system through, which shows which
	// sectors are in use.
	AllowDiscards bool
	Rand          io.Reader
}

// detachedSize is the size of a detached header with its keyslots.
const detachedSize = 16 << 20

// Format returns a fresh header with one data segment from DataOffset to the end of
// the device and no keyslot. AddKeyslot must come before the first Commit. Nothing
// is written: see FillKeyslotsArea for what a fresh volume needs besides.
func Format(o FormatOptions) (*Header, error) {
	if o.HeaderSize == 0 {
		o.HeaderSize = headerSizes[0]
	}
	if !slices.Contains(headerSizes, o.HeaderSize) {
		return nil, fmt.Errorf("header size %d is not a power of two from 16384 to 4194304", o.HeaderSize)
	}
	if o.KeySize < 1 || o.KeySize > maxKeySize || o.Cipher == "" || len(o.Cipher) > maxDigestString {
		return nil, fmt.Errorf("cipher %.40q with a key of %d bytes is not possible", o.Cipher, o.KeySize)
	}
	if !slices.Contains(sectorSizes, o.SectorSize) {
		return nil, fmt.Errorf("sector size %d is not 512, 1024, 2048 or 4096", o.SectorSize)
	}
	if end := 2 * o.HeaderSize; o.DataOffset%512 != 0 || (o.DataOffset != 0 && o.DataOffset < end) {
		return nil, fmt.Errorf("data offset %d is not a multiple of 512 from %d on, where the header ends", o.DataOffset, end)
	}
	h := &Header{HeaderSize: o.HeaderSize, SequenceID: 1, fresh: true, formatKeySize: o.KeySize}
	if err := h.identify(o); err != nil {
		return nil, err
	}
	return h, h.adopt(newTree(o))
}

// identify gives the header its label, UUID and salts.
func (h *Header) identify(o FormatOptions) error {
	if o.UUID == uuid.Nil {
		if _, err := io.ReadFull(o.Rand, o.UUID[:]); err != nil {
			return fmt.Errorf("random UUID: %w", err)
		}
		o.UUID[6], o.UUID[8] = o.UUID[6]&0x0f|0x40, o.UUID[8]&0x3f|0x80 // version 4
	}
	h.UUID = o.UUID.String()
	for i := range h.salts {
		if _, err := io.ReadFull(o.Rand, h.salts[i][:]); err != nil {
			return fmt.Errorf("random salt: %w", err)
		}
	}
	return h.SetLabel(o.Label, "")
}

// newTree makes the metadata of a fresh header.
func newTree(o FormatOptions) *tree {
	keyslots := attachedKeyslotsSize(o.HeaderSize, o.DataOffset)
	if o.DataOffset == 0 {
		keyslots = detachedSize - 2*o.HeaderSize
	}
	var flags []string
	if o.AllowDiscards {
		flags = []string{"allow-discards"}
	}
	data := Segment{Type: "crypt", Offset: o.DataOffset, Size: Dynamic, Encryption: o.Cipher, SectorSize: o.SectorSize}
	return &tree{
		keyslots: table{}, tokens: table{}, digests: table{}, segments: table{0: data.encode()},
		config: newConfig(o.HeaderSize-binarySize, keyslots, flags),
	}
}

// attachedKeyslotsSize is what lies between the header copies and the data, in whole
// blocks.
func attachedKeyslotsSize(headerSize, dataOffset int64) int64 {
	return min((dataOffset-2*headerSize)/areaAlignment*areaAlignment, maxKeyslotsSize)
}

// adopt makes t the header's metadata if it is valid, and else changes nothing.
func (h *Header) adopt(t *tree) error {
	m, err := parseChanged(t, h.tree, h.meta)
	if err == nil {
		err = m.check(h.HeaderSize)
	}
	if err != nil {
		return fmt.Errorf("this header would be invalid: %w", err)
	}
	if n, room := int64(len(t.encode())), h.HeaderSize-binarySize-1; n > room {
		return fmt.Errorf("the JSON needs %d bytes and the header has room for %d", n, room)
	}
	h.tree, h.meta = t, m
	return nil
}

// SetLabel sets the label and the subsystem, a second label: at most 47 bytes each,
// without NUL.
func (h *Header) SetLabel(label, subsystem string) error {
	for _, s := range []string{label, subsystem} {
		if len(s) >= labelLength || strings.ContainsRune(s, 0) {
			return fmt.Errorf("label %.60q is longer than %d bytes or has a NUL", s, labelLength-1)
		}
	}
	h.Label, h.Subsystem = label, subsystem
	return nil
}

// Recovered says why one of the two copies on disk was not good: invalid, or older
// than the other. It is "" where both were. The next Commit writes both.
func (h *Header) Recovered() string { return h.recovered }

// Requirements returns what a program must understand to use the volume, such as
// "online-reencrypt-v2".
func (h *Header) Requirements() []string { return slices.Clone(h.meta.config.requirements) }

// Flags returns the activation flags, such as "allow-discards".
func (h *Header) Flags() []string { return slices.Clone(h.meta.config.flags) }

// Wipe drops the metadata. The header holds no key, but which secret opens it how is
// nobody's business either; it must not be used afterwards.
func (h *Header) Wipe() { *h = Header{} }
