package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonTo returns the encoder of all JSON that we write. What a disk says steers no terminal
// there, either: encoding/json escapes control characters below space, and leaves DEL, those from 0x80 to 0x9f
// and marks of the direction of text as they are.
func jsonTo(w io.Writer) *json.Encoder { return json.NewEncoder(escaping{w}) }

// showJSON writes one value with indentation, as people and machines read it.
func showJSON(w io.Writer, v any) error {
	encoder := jsonTo(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// escaping escapes what does not print.
type escaping struct{ w io.Writer }

// Write writes JSON. Nothing outside of its strings is changed by that.
func (e escaping) Write(p []byte) (int, error) {
	var out bytes.Buffer
	for rest := p; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			out.WriteString(`\ufffd`)
		case r == '\n' || unicode.IsPrint(r):
			out.Write(rest[:size])
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
		rest = rest[size:]
	}
	if _, err := out.WriteTo(e.w); err != nil {
		return 0, err
	}
	return len(p), nil
}
