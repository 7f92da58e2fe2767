package probe

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

const (
	// maxRead bounds every read, whatever a superblock asks for.
	maxRead = 128 << 10
	// headSize is read at once, at the front, where nearly all superblocks begin;
	// the last of them is that of btrfs, 4 KiB at 64 KiB.
	headSize = 68 << 10
	// tailSize is read at once, at the end, where arrays have their metadata.
	tailSize = 16 << 10
)

// image is the bytes that are looked at. The first failed read is kept in err and
// what it should have returned is missing, so that the formats need not care.
type image struct {
	r    io.ReaderAt
	size int64
	head []byte // the first headSize bytes, or all where there are fewer
	tail []byte // the last tailSize bytes, nil until one of them is asked for
	err  error
}

// open makes m the size bytes of r. What is left of an image that was looked at
// before is its memory: nothing that at returned then may still be in use.
func (m *image) open(r io.ReaderAt, size disk.Bytes) {
	head := m.head[:0]
	*m = image{r: r, size: int64(size)}
	m.head = m.read(slices.Grow(head, headSize)[:max(0, min(headSize, m.size))], 0)
}

// at returns n bytes at off, or nil where they are not all on the device. They are
// there until the next open: what is to be kept of them is copied.
func (m *image) at(off, n int64) []byte {
	switch {
	case off < 0 || n < 0 || n > maxRead || off > m.size-n:
		return nil
	case off+n <= int64(len(m.head)):
		return m.head[off : off+n]
	case off >= m.size-tailSize:
		return m.inTail(off, n)
	}
	return m.read(make([]byte, n), off)
}

// inTail returns n of the last tailSize bytes, from off on.
func (m *image) inTail(off, n int64) []byte {
	start := max(0, m.size-tailSize)
	if m.tail == nil {
		m.tail = m.read(make([]byte, m.size-start), start)
	}
	if m.tail == nil {
		return m.read(make([]byte, n), off) // some of it may be readable
	}
	return m.tail[off-start : off-start+n]
}

// read fills buf and returns it, or nil where that is not possible.
func (m *image) read(buf []byte, off int64) []byte {
	got, err := m.r.ReadAt(buf, off)
	if got == len(buf) {
		return buf
	}
	if err != nil && !errors.Is(err, io.EOF) && m.err == nil {
		m.err = err
	}
	return nil
}

// ReadAt lets a package that reads for itself see the same bytes.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	got := m.at(off, int64(len(p)))
	if got == nil {
		return 0, io.EOF
	}
	return copy(p, got), nil
}

// has reports whether magic stands at off.
func (m *image) has(off int64, magic string) bool {
	return string(m.at(off, int64(len(magic)))) == magic
}

// text returns the text of a field that NULs or blanks fill up. What is not UTF-8
// becomes U+FFFD: a snapshot is JSON, and must read back as it was.
func text(field []byte) string {
	field, _, _ = bytes.Cut(field, []byte{0})
	return strings.TrimRight(strings.ToValidUTF8(string(field), "\uFFFD"), " \t\n\r")
}

// text16 returns the text of a field of UTF-16 units, ended by a zero unit or the
// end of the field.
func text16(field []byte, order interface{ Uint16([]byte) uint16 }) string {
	var units []uint16
	for ; len(field) >= 2; field = field[2:] {
		unit := order.Uint16(field)
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return text([]byte(string(utf16.Decode(units))))
}

// uuidText returns 16 bytes in blkid's text form, and nothing for zeros.
func uuidText(raw []byte) string {
	if u := uuid.UUID(raw); u != uuid.Nil {
		return u.String()
	}
	return ""
}

// shortSerial writes a little-endian 32-bit volume serial as blkid does: 9544-06B3.
func shortSerial(raw []byte) string {
	if bytes.Equal(raw, make([]byte, 4)) {
		return ""
	}
	digits := strings.ToUpper(hex.EncodeToString([]byte{raw[3], raw[2], raw[1], raw[0]}))
	return digits[:4] + "-" + digits[4:]
}

// product multiplies two sizes from a superblock. One that no disk can have
// becomes the largest size there is.
func product(count, unit uint64) disk.Bytes {
	high, low := bits.Mul64(count, unit)
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return disk.Bytes(low)
}
