package definitions

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// convert turns a decoded TOML value into the Go type of its kind: string,
// []string, int64, bool, disk.Bytes, uint64 for flags, []pcr for PCRs. Its errors
// continue a sentence that begins with the key.
func convert(k kind, value any) (any, error) {
	switch v := value.(type) {
	case string:
		return convertText(k, v)
	case int64:
		return convertInteger(k, v)
	case bool:
		if k == kindBoolean {
			return v, nil
		}
	case []any:
		if k == kindTexts || k == kindPCRs {
			return convertArray(k, v)
		}
	}
	return nil, wrongType(k, value)
}

// itemError is about one element of an array.
type itemError struct {
	index int
	error
}

func wrongItem(index int, format string, args ...any) error {
	return itemError{index, fmt.Errorf(format, args...)}
}

func wrongType(k kind, value any) error {
	return fmt.Errorf("must be %s, not %s", k, describe(value))
}

func convertText(k kind, v string) (any, error) {
	switch k {
	case kindText:
		return v, checkPlain(v)
	case kindTexts:
		return []string{v}, checkPlain(v)
	case kindSize:
		size, err := disk.ParseBytes(v)
		if err != nil {
			return nil, fmt.Errorf("is no size: %w", err)
		}
		return size, nil
	case kindFlags:
		flags, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("must be %s, not %q", k, v)
		}
		return flags, nil
	}
	return nil, wrongType(k, v)
}

func convertInteger(k kind, v int64) (any, error) {
	switch k {
	case kindNumber:
		return v, nil
	case kindSize:
		if v < 0 {
			return nil, fmt.Errorf("must not be negative")
		}
		return disk.Bytes(v), nil
	case kindFlags:
		if v < 0 {
			return nil, fmt.Errorf("must not be negative; write bit 63 as a string")
		}
		return uint64(v), nil
	}
	return nil, wrongType(k, v)
}

// convertArray reads the elements of an array, which must all be of one type.
func convertArray(k kind, values []any) (any, error) {
	if k == kindPCRs {
		return convertPCRs(values)
	}
	texts := []string{}
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, wrongItem(i, "must be %s, not an array with %s in it", k, describe(value))
		}
		if err := checkPlain(text); err != nil {
			return nil, wrongItem(i, "%w", err)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// pcr is a PCR as a definition names it: bare, with its bank, or with its bank and value.
type pcr struct {
	number int
	bank   string
	value  string // in hexadecimal, lower case
}

// bankSizes are the sizes of the values in a bank, in bytes.
var bankSizes = map[string]int{"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}

// parsePCR reads the long form of a PCR, "7:sha256=HEX" or "7:sha256".
func parsePCR(text string) (pcr, error) {
	number, rest, _ := strings.Cut(text, ":")
	bank, value, given := strings.Cut(rest, "=")
	n, err := strconv.ParseUint(number, 10, 8)
	size, known := bankSizes[bank]
	if err != nil || !known {
		return pcr{}, fmt.Errorf(`has %q, which is not a PCR as in "7:sha256=HEX"`, text)
	}
	if digits, err := hex.DecodeString(value); given && (err != nil || len(digits) != size) {
		return pcr{}, fmt.Errorf("has %q: a value of %s is %d digits in hexadecimal", text, bank, 2*size)
	}
	return pcr{int(n), bank, strings.ToLower(value)}, nil
}

// convertPCRs reads PCR numbers, with their values where they are given.
func convertPCRs(values []any) (any, error) {
	pcrs := []pcr{}
	for i, value := range values {
		switch v := value.(type) {
		case int64:
			if v < 0 || v > maxPCR {
				return nil, wrongItem(i, "has PCR %d: a TPM has PCRs 0 to %d", v, maxPCR)
			}
			pcrs = append(pcrs, pcr{number: int(v)})
		case string:
			p, err := parsePCR(v)
			if err == nil && p.number > maxPCR {
				err = fmt.Errorf("has PCR %d: a TPM has PCRs 0 to %d", p.number, maxPCR)
			}
			if err != nil {
				return nil, wrongItem(i, "%w", err)
			}
			pcrs = append(pcrs, p)
		default:
			return nil, wrongItem(i, "must be %s, not an array with %s in it", kindPCRs, describe(v))
		}
	}
	return pcrs, nil
}

// maxPCR is the highest PCR of a PC Client TPM.
const maxPCR = 23

// maxText is how many bytes a string may have: Linux takes no longer path.
const maxText = 4095

// checkPlain refuses control characters: no label or path of ours has one, a NUL
// would cut it short where C reads it, and a newline would forge lines of output.
func checkPlain(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("is longer than %d bytes", maxText)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return fmt.Errorf("has control character 0x%02x in it", r)
		}
	}
	return nil
}

// inRange checks a number against the range of its key.
func inRange(v, low, high int64) error {
	if v < low || v > high {
		return fmt.Errorf("must be from %d to %d, not %d", low, high, v)
	}
	return nil
}

// The ranges of weights, as in systemd-repart, and of priorities.
const (
	maxWeight   = 1_000_000
	minPriority = math.MinInt32
	maxPriority = math.MaxInt32
)
