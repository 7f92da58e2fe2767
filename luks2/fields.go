package luks2

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// fields takes typed values out of an object. The first thing that is wrong stays
// in err, with its place; after it every value is zero.
type fields struct {
	where  string
	object object
	err    *error
}

// fail notes the first error.
func (f fields) fail(format string, args ...any) {
	if *f.err == nil {
		*f.err = fmt.Errorf("%s: %s", f.where, fmt.Sprintf(format, args...))
	}
}

// lenient returns the fields with another place for what is wrong: values that spoil
// the use of their object, and not the header.
func (f fields) lenient(err *error) fields {
	f.err = err
	return f
}

// has reports whether name is there.
func (f fields) has(name string) bool { return f.object.get(name) != nil }

// decode takes the value of name into v; what says what it should be.
func (f fields) decode(name, what string, v any) {
	raw := f.object.get(name)
	switch {
	case raw == nil:
		f.fail("%s is missing", name)
	case string(raw) == "null" || json.Unmarshal(raw, v) != nil:
		f.fail("%s is not %s", name, what)
	}
}

// text takes a string.
func (f fields) text(name string) (s string) {
	f.decode(name, "a string", &s)
	return s
}

// word takes a string that is not empty.
func (f fields) word(name string) string {
	s := f.text(name)
	if s == "" {
		f.fail("%s is empty", name)
	}
	return s
}

// integer demands a whole JSON number, of any size.
func (f fields) integer(name string) {
	var n json.Number
	if f.decode(name, "a number", &n); strings.ContainsAny(n.String(), ".eE") || string(f.object.get(name)) != n.String() {
		f.fail("%s is not a number", name)
	}
}

// number takes a 32-bit number, which is a JSON number and never negative. What needs
// the last bit is more than anything here can be, and comes out as the most that can be.
func (f fields) number(name string) int {
	n := int64(-1)
	f.decode(name, "a number", &n)
	if n < 0 || n > math.MaxUint32 {
		f.fail("%s is out of range", name)
		return 0
	}
	return int(min(n, math.MaxInt32))
}

// size takes a 64-bit number for a place or length on a device. What needs the last
// bit is more than any device has, and comes out as the most that can be.
func (f fields) size(name string) int64 { return int64(min(f.unsigned(name), math.MaxInt64)) }

// unsigned takes a 64-bit number, which is a string of digits.
func (f fields) unsigned(name string) uint64 {
	s := f.word(name)
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			f.fail("%s %.40q is not a decimal number", name, s)
			return 0
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		f.fail("%s %.40q is out of range", name, s)
		return 0
	}
	return n
}

// bytes takes a binary value, at most limit bytes long.
func (f fields) bytes(name string, limit int) []byte {
	b, err := base64.StdEncoding.DecodeString(f.text(name))
	if err != nil || len(b) == 0 {
		f.fail("%s is not base64", name)
		return nil
	}
	if len(b) > limit {
		f.fail("%s has %d bytes, more than %d", name, len(b), limit)
		return nil
	}
	return b
}

// strings takes an array of strings.
func (f fields) strings(name string) []string {
	var raw []*string // pointers tell null from ""
	f.decode(name, "an array of strings", &raw)
	list := make([]string, 0, len(raw))
	for _, s := range raw {
		if s == nil {
			f.fail("%s is not an array of strings", name)
			return nil
		}
		list = append(list, *s)
	}
	return list
}

// ids takes an array of references.
func (f fields) ids(name string) []int {
	list := f.strings(name)
	ids := make([]int, 0, len(list))
	for _, s := range list {
		id, err := parseID(s)
		if err != nil {
			f.fail("%s: %v", name, err)
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// sub takes a nested object.
func (f fields) sub(name string) fields {
	nested := fields{where: f.where + ": " + name, err: f.err}
	raw := f.object.get(name)
	if raw == nil {
		f.fail("%s is missing", name)
		return nested
	}
	o, err := parseObject(raw)
	if err != nil {
		nested.fail("%v", err)
	}
	nested.object = o
	return nested
}

// maxIDs bounds the ids of keyslots, tokens, segments and digests: cryptsetup stops
// at an assertion when it meets a greater one.
const maxIDs = 32

// parseID reads an object's id: a decimal number below maxIDs.
func parseID(s string) (int, error) {
	id, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(id) != s || id < 0 || id >= maxIDs {
		return 0, fmt.Errorf("id %.40q is not a number from 0 to %d", s, maxIDs-1)
	}
	return id, nil
}
