package definitions

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxFile is how large a file may be, in bytes.
const maxFile = 1 << 20

// document is a parsed file: its values, and where each of them stands.
type document struct {
	file   *file
	values map[string]any
	spots  map[string]spot
}

// parse reads the TOML text of a file. It takes a byte order mark and Windows line
// ends, as editors leave them, and nothing else that is not plain text.
func parse(path, text string) (*document, *Error) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	f := &file{path: path, text: text}
	if err := checkText(f); err != nil {
		return nil, err
	}
	spots, broken := locate(text)
	if broken != nil {
		return nil, explain(f, broken)
	}
	values, err := decode(f, text)
	if err != nil {
		return nil, err
	}
	return &document{file: f, values: values, spots: spots}, nil
}

// checkText refuses what is no UTF-8 text: the decoder would go on with it, and
// a terminal would obey it.
func checkText(f *file) *Error {
	for i, r := range f.text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(f.text[i:], "\ufffd"):
			return f.errorAt(i, "not UTF-8: byte 0x%02x", f.text[i])
		case r == 0:
			return f.errorAt(i, "a NUL byte: this is no text file")
		case r < ' ' && r != '\t' && r != '\n', r == 0x7f:
			return f.errorAt(i, "control character 0x%02x", r)
		}
	}
	return nil
}

// errorAt points at one byte of the file.
func (f *file) errorAt(at int, format string, args ...any) *Error {
	return place{f, at, at + 1}.errorf("", format, args...)
}

// explain turns a fault of the locator into an error, in the decoder's words where
// the decoder stumbles over the same thing. It is given the rest of the line, and
// little of a long one, so that it meets nothing that the limits are there to stop.
func explain(f *file, broken *fault) *Error {
	const beyond = 64
	if broken.limit {
		return f.errorAt(broken.at, "%s", broken.message)
	}
	if line, _, _ := strings.Cut(f.text[broken.at:], "\n"); len(line) < beyond {
		if _, err := decode(f, f.text[:min(len(f.text), broken.at+len(line)+1)]); err != nil {
			return err
		}
	}
	return f.errorAt(broken.at, "not TOML: %s", broken.message)
}

// decode runs the TOML decoder over text, the beginning of f's. The decoder panics
// on some inputs that its own checks missed; that too is an error of the file.
func decode(f *file, text string) (values map[string]any, wrong *Error) {
	defer func() {
		if r := recover(); r != nil {
			wrong = f.errorAt(0, "not TOML: %v", r)
		}
	}()
	_, err := toml.Decode(text, &values)
	if err == nil {
		return values, nil
	}
	var at toml.ParseError
	if !errors.As(err, &at) {
		return nil, f.errorAt(0, "not TOML: %v", err)
	}
	start := min(max(at.Position.Start, 0), len(f.text))
	return nil, place{f, start, start + max(at.Position.Len, 1)}.errorf("", "not TOML: %s", tidy(at.Message))
}

// tidy gives the decoder's sentences the form of ours.
func tidy(message string) string {
	message = strings.TrimSuffix(message, ".")
	if strings.HasPrefix(message, "Key ") || strings.HasPrefix(message, "Invalid ") || strings.HasPrefix(message, "Escaped ") {
		return strings.ToLower(message[:1]) + message[1:]
	}
	return message
}

// place returns where the value with the given path stands, or where the nearest
// table around it does.
func (d *document) place(path string) place {
	for ; path != ""; path = parent(path) {
		if s, ok := d.spots[path]; ok {
			return place{d.file, s.value.start, s.value.end}
		}
	}
	return place{file: d.file}
}

// keyPlace is like place, for the key itself.
func (d *document) keyPlace(path string) place {
	if s, ok := d.spots[path]; ok {
		return place{d.file, s.key.start, s.key.end}
	}
	return d.place(path)
}

// parent is the path of what holds a key or an element.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// describe names the TOML type of a decoded value.
func describe(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case []map[string]any:
		return "an array of tables"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
