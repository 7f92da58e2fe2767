package luks2

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// The binary header: offsets and lengths in bytes, numbers big-endian. Bytes that
// are not named are zero.
const (
	binarySize = 4096 // the JSON area follows

	versionOffset      = 6
	headerSizeOffset   = 8
	sequenceOffset     = 16
	labelOffset        = 24
	labelLength        = 48
	checksumNameOffset = 72
	checksumNameLength = 32
	saltOffset         = 104
	saltLength         = 64
	uuidOffset         = 168
	uuidLength         = 40
	subsystemOffset    = 208
	placeOffset        = 256

	// ChecksumOffset and ChecksumEnd bound the checksum in a header copy: with this
	// zeroed, everybody sees a LUKS2 header and nobody takes it for valid.
	ChecksumOffset = 448
	ChecksumEnd    = 512
)

// headerSizes are the sizes that a copy may have, and so the places of a second one.
var headerSizes = []int64{16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}

// magics begin the primary and the secondary copy.
var magics = [2]string{"LUKS\xba\xbe", "SKUL\xba\xbe"}

// copyNames name the copies in messages.
var copyNames = [2]string{"primary", "secondary"}

// parseBinary reads the binary header of the copy at offset. It allocates nothing
// for what the header claims.
func parseBinary(b []byte, offset int64) (*Header, error) {
	if v := binary.BigEndian.Uint16(b[versionOffset:]); v != 2 {
		return nil, fmt.Errorf("version %d, only 2 is known", v)
	}
	h := &Header{SequenceID: binary.BigEndian.Uint64(b[sequenceOffset:])}
	size := binary.BigEndian.Uint64(b[headerSizeOffset:])
	for _, s := range headerSizes {
		if size == uint64(s) {
			h.HeaderSize = s
		}
	}
	if h.HeaderSize == 0 {
		return nil, fmt.Errorf("header size %d is none of the format's", size)
	}
	if place := binary.BigEndian.Uint64(b[placeOffset:]); place != uint64(offset) {
		return nil, fmt.Errorf("the header says that it belongs at byte %d", place)
	}
	if offset != 0 && offset != h.HeaderSize {
		return nil, fmt.Errorf("header size %d does not fit its place", size)
	}
	return h, h.parseNames(b)
}

// parseNames takes the texts of the binary header.
func (h *Header) parseNames(b []byte) error {
	if _, err := newHash(cstring(b[checksumNameOffset:], checksumNameLength)); err != nil {
		return fmt.Errorf("checksum algorithm: %w", err)
	}
	h.Label = cstring(b[labelOffset:], labelLength)
	h.Subsystem = cstring(b[subsystemOffset:], labelLength)
	h.UUID = cstring(b[uuidOffset:], uuidLength)
	return nil
}

// cstring takes a NUL-terminated text from a field of n bytes, of which the last is
// never part of it.
func cstring(b []byte, n int) string {
	text, _, _ := bytes.Cut(b[:n-1], []byte{0})
	return string(text)
}

// checksum computes a copy's checksum by the hash that it names, nil where that is not
// known.
func checksum(image []byte) []byte {
	newHash, err := newHash(cstring(image[checksumNameOffset:], checksumNameLength))
	if err != nil {
		return nil
	}
	sum := newHash()
	sum.Write(image[:ChecksumOffset])
	sum.Write(make([]byte, ChecksumEnd-ChecksumOffset))
	sum.Write(image[ChecksumEnd:])
	return sum.Sum(nil)
}

// checkSum reports whether a copy's checksum is right.
func checkSum(image []byte) bool {
	sum := checksum(image)
	return sum != nil && subtle.ConstantTimeCompare(sum, image[ChecksumOffset:ChecksumOffset+len(sum)]) == 1
}

// image returns a whole copy: 0 is the primary, 1 the secondary.
func (h *Header) image(which int) []byte {
	b := make([]byte, h.HeaderSize)
	copy(b, magics[which])
	binary.BigEndian.PutUint16(b[versionOffset:], 2)
	binary.BigEndian.PutUint64(b[headerSizeOffset:], uint64(h.HeaderSize))
	binary.BigEndian.PutUint64(b[sequenceOffset:], h.SequenceID)
	copy(b[labelOffset:], h.Label)
	copy(b[checksumNameOffset:], "sha256")
	copy(b[saltOffset:], h.salts[which][:])
	copy(b[uuidOffset:], h.UUID)
	copy(b[subsystemOffset:], h.Subsystem)
	binary.BigEndian.PutUint64(b[placeOffset:], uint64(h.HeaderSize)*uint64(which))
	copy(b[binarySize:], h.tree.encode())
	copy(b[ChecksumOffset:], checksum(b))
	return b
}
