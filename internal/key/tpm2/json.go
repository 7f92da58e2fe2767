package tpm2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// fields are the members of a JSON object, taken out one by one by their exact
// names (encoding/json alone would take TPM2-BLOB for tpm2-blob). The first error
// stays; what is left over is unknown.
type fields struct {
	values map[string]json.RawMessage
	err    error
}

func (f *fields) optional(name string, into any) {
	raw, found := f.values[name]
	delete(f.values, name)
	if !found || f.err != nil {
		return
	}
	err := json.Unmarshal(raw, into)
	if bytes.Equal(raw, []byte("null")) {
		err = errors.New("null")
	}
	if err != nil {
		f.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (f *fields) required(name string, into any) {
	if _, found := f.values[name]; !found && f.err == nil {
		f.err = fmt.Errorf("%s is missing", name)
	}
	f.optional(name, into)
}

// list is one element, written alone, or an array of several: so systemd writes
// what can be sharded.
type list[T any] []T

// UnmarshalJSON takes a single element or an array.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return json.Unmarshal(raw, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(raw, &(*l)[0])
}

// MarshalJSON writes a single element alone.
func (l list[T]) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]T(l))
}

// hexBytes is hexadecimal text in JSON.
type hexBytes []byte

// UnmarshalText reads hexadecimal digits of either case.
func (h *hexBytes) UnmarshalText(text []byte) error {
	digits, err := hex.DecodeString(string(text))
	*h = digits
	return err
}

// MarshalText writes lower case.
func (h hexBytes) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, h), nil
}

// parseKeyslots reads numbers that JSON holds as strings.
func parseKeyslots(texts []string) ([]int, error) {
	slots := make([]int, len(texts))
	for i, text := range texts {
		slot, err := strconv.Atoi(text)
		if err != nil || strconv.Itoa(slot) != text {
			return nil, fmt.Errorf("keyslot %.40q is not a number", text)
		}
		slots[i] = slot
	}
	return slots, nil
}
