package disk

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size or a byte offset.
type Bytes int64

// LBA is a logical block address, counted in sectors of the disk it belongs to.
type LBA int64

// The binary multiples that sizes are written in.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// Offset returns the byte offset of l on a disk with the given sector size.
func (l LBA) Offset(sectorSize Bytes) Bytes { return Bytes(l) * sectorSize }

// LBA returns the address of the sector in which byte offset b lies.
func (b Bytes) LBA(sectorSize Bytes) LBA { return LBA(b / sectorSize) }

// RoundUp returns the smallest multiple of grain that is not below b.
// It saturates at the largest multiple of grain that a Bytes can hold.
func (b Bytes) RoundUp(grain Bytes) Bytes {
	if b > math.MaxInt64-grain {
		return Bytes(math.MaxInt64).RoundDown(grain)
	}
	return (b + grain - 1).RoundDown(grain)
}

// RoundDown returns the largest multiple of grain that is not above b.
func (b Bytes) RoundDown(grain Bytes) Bytes { return b / grain * grain }

// String writes b for people: the largest binary unit, at most one decimal.
func (b Bytes) String() string {
	units := []struct {
		size Bytes
		name string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}}
	for _, u := range units {
		switch {
		case b < u.size:
		case b%u.size == 0:
			return fmt.Sprintf("%d %s", b/u.size, u.name)
		default:
			text := strconv.FormatFloat(float64(b)/float64(u.size), 'f', 1, 64)
			return strings.TrimSuffix(text, ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", int64(b))
}

// ParseBytes reads a size in systemd's grammar (parse_size, base 1024): a sum of
// decimal numbers, each with an optional fraction and an optional suffix
// B, K, M, G, T, P or E, in falling order: "1G", "1.5M", "1G 512M".
// It fails on an empty text, an unknown suffix such as "KB", and overflow.
func ParseBytes(text string) (Bytes, error) {
	var total Bytes
	rest, last := strings.TrimSpace(text), math.MaxInt
	if rest == "" {
		return 0, fmt.Errorf("empty size")
	}
	for rest != "" {
		value, power, tail, err := parseSizeTerm(rest)
		if err != nil {
			return 0, fmt.Errorf("size %q: %w", text, err)
		}
		if power >= last {
			return 0, fmt.Errorf("size %q: units must fall from left to right", text)
		}
		if value > math.MaxInt64-total {
			return 0, fmt.Errorf("size %q: too large", text)
		}
		total, last, rest = total+value, power, strings.TrimSpace(tail)
	}
	return total, nil
}

// parseSizeTerm reads one number with its suffix and returns the value, the
// power of 1024 of the suffix, and the text behind it.
func parseSizeTerm(text string) (value Bytes, power int, rest string, err error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	number, rest := text[:end], strings.TrimSpace(text[end:])
	if number == "" || number[0] == '.' {
		return 0, 0, "", fmt.Errorf("%q is not a number", text)
	}
	power, rest, err = cutSuffix(rest)
	if err != nil {
		return 0, 0, "", err
	}
	value, err = scale(number, power)
	return value, power, rest, err
}

// cutSuffix takes a unit letter off the front of text and returns its power of 1024.
func cutSuffix(text string) (power int, rest string, err error) {
	if text == "" || (text[0] >= '0' && text[0] <= '9') {
		return 0, text, nil
	}
	power = strings.IndexByte("BKMGTPE", text[0])
	if power < 0 || (len(text) > 1 && text[1] != ' ' && (text[1] < '0' || text[1] > '9')) {
		return 0, "", fmt.Errorf("unknown unit %q (use K, M, G, T, P or E, base 1024)", text)
	}
	return power, text[1:], nil
}

// scale multiplies the decimal number by 1024 to the given power, exactly for
// the whole part and rounded down for the fraction.
func scale(number string, power int) (Bytes, error) {
	whole, fraction, hasFraction := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	unit := int64(1) << (10 * power)
	if err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is too large", number)
	}
	value := n * unit
	if hasFraction {
		f, err := strconv.ParseFloat("0."+fraction, 64)
		if err != nil || strings.Contains(fraction, ".") {
			return 0, fmt.Errorf("%q is not a number", number)
		}
		if part := int64(f * float64(unit)); part <= math.MaxInt64-value {
			value += part
		}
	}
	return Bytes(value), nil
}

// Extent is a run of bytes on a device.
type Extent struct {
	Offset Bytes `json:"offset"`
	Size   Bytes `json:"size"`
}

// End returns the offset of the first byte behind e.
func (e Extent) End() Bytes { return e.Offset + e.Size }

// Overlaps reports whether e and other share a byte.
func (e Extent) Overlaps(other Extent) bool {
	return e.Size > 0 && other.Size > 0 && e.Offset < other.End() && other.Offset < e.End()
}

// Contains reports whether all of other lies inside e.
func (e Extent) Contains(other Extent) bool {
	return other.Offset >= e.Offset && other.End() <= e.End()
}
