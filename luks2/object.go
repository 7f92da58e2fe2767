package luks2

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how deep JSON may nest: the limit of json-c, and so of cryptsetup.
const maxDepth = 32

// object is a JSON object that keeps what it does not understand: the order, names
// and values of its members stay as they were read. It is never changed in place.
type object []member

// member is one name of an object with the text of its value.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject reads one JSON object. Names must not repeat: readers would differ on
// which one counts.
func parseObject(text []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object")
	}
	o, seen := object{}, map[string]bool{}
	for dec.More() {
		m, err := parseMember(dec)
		if err != nil {
			return nil, fmt.Errorf("not valid JSON at byte %d: %w", dec.InputOffset(), err)
		}
		if seen[m.name] {
			return nil, fmt.Errorf("key %.40q is there twice", m.name)
		}
		seen[m.name] = true
		o = append(o, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not valid JSON at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the JSON object, at byte %d", dec.InputOffset())
	}
	return o, nil
}

// parseMember reads a name and its value.
func parseMember(dec *json.Decoder) (m member, err error) {
	name, err := dec.Token()
	if err != nil {
		return m, err
	}
	m.name, _ = name.(string) // the decoder allows nothing else inside an object
	err = dec.Decode(&m.value)
	return m, err
}

// depth returns how deep the brackets of a JSON text nest.
func depth(text []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// holdsNUL reports whether a string of a JSON text has the escape of a NUL. A name or a text
// would be another to a reader that takes it to end there, as json-c and so cryptsetup does.
func holdsNUL(text []byte) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; bytes.HasPrefix(text[i:], []byte("u0000")) {
			return true
		}
	}
	return false
}

// is reports whether both are the very same object, not only an equal one.
func (o object) is(other object) bool {
	return len(o) > 0 && len(o) == len(other) && &o[0] == &other[0]
}

// get returns the value of name, or nil.
func (o object) get(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// with returns a copy in which name has the given value.
func (o object) with(name string, value json.RawMessage) object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

// without returns a copy without name.
func (o object) without(name string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.name == name })
}

// encode returns the object as JSON text, values as they were read.
func (o object) encode() json.RawMessage {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, jsonString(m.name)...)
		text = append(text, ':')
		text = append(text, m.value...)
	}
	return append(text, '}')
}

// jsonString encodes a string, without the escapes for HTML that nobody else writes.
// A conversion writes thousands, of which nearly all need no escape at all.
func jsonString(s string) json.RawMessage {
	if !strings.ContainsFunc(s, escaped) {
		return slices.Concat([]byte{'"'}, []byte(s), []byte{'"'})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// escaped reports whether a character may need an escape in a JSON string.
func escaped(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

// jsonInt encodes the 32-bit numbers of the format.
func jsonInt(n int) json.RawMessage { return json.RawMessage(strconv.Itoa(n)) }

// jsonSize encodes the 64-bit numbers of the format, which are strings.
func jsonSize(n int64) json.RawMessage { return jsonString(strconv.FormatInt(n, 10)) }

// jsonBytes encodes binary values: base64 with padding.
func jsonBytes(b []byte) json.RawMessage {
	return jsonString(base64.StdEncoding.EncodeToString(b))
}

// jsonStrings encodes an array of strings.
func jsonStrings(list []string) json.RawMessage {
	text := []byte{'['}
	for i, s := range list {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, jsonString(s)...)
	}
	return append(text, ']')
}

// jsonIDs encodes a list of references: an array of decimal strings.
func jsonIDs(ids []int) json.RawMessage {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = strconv.Itoa(id)
	}
	return jsonStrings(names)
}
