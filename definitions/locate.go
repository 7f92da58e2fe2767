package definitions

import (
	"fmt"
	"strconv"
	"strings"
)

// The limits of a file. They are far above any real definition, and keep the
// decoder, which is recursive and walks every key from the root, from taking
// unbounded time or stack.
const (
	maxDepth   = 8      // nesting of tables and arrays, and parts of a dotted key
	maxKey     = 128    // bytes of one part of a key
	maxEntries = 10_000 // keys, tables and array elements of a file
	maxItems   = 256    // elements of one array
)

// span is a run of bytes of a text.
type span struct{ start, end int }

// spot says where a key and its value stand. Array elements have no key.
type spot struct{ key, value span }

// fault is why a text was not understood, and where. Where limit is set the text
// may be TOML, but it is too large to decode.
type fault struct {
	at      int
	message string
	limit   bool
}

// locator finds where the keys and values of a TOML text stand, which the decoder
// does not tell. It knows the structure of TOML 1.0 and nothing about values:
// whether "1__0" is a number is left to the decoder.
//
// A path is the key's parts joined by dots, with the index of elements:
// "encryption.key[0].pcrs[1]". Parts that are no bare keys are quoted.
type locator struct {
	text  string
	at    int
	table string          // path of the table that the next key belongs to
	count map[string]int  // tables seen of each array of tables
	spots map[string]spot // by path
}

// locate returns the spots of all keys, tables and elements of text, which must be
// UTF-8 without control characters other than tab and newline.
func locate(text string) (spots map[string]spot, f *fault) {
	l := locator{text: text, count: map[string]int{}, spots: map[string]spot{}}
	defer func() {
		if r := recover(); r != nil {
			stopped, ok := r.(*fault)
			if !ok {
				panic(r)
			}
			spots, f = l.spots, stopped
		}
	}()
	l.document()
	return l.spots, nil
}

// fail ends the scan: it is a long way up from the inside of nested values.
func (l *locator) fail(format string, args ...any) {
	panic(&fault{at: l.at, message: fmt.Sprintf(format, args...)})
}

func (l *locator) failLimit(format string, args ...any) {
	panic(&fault{at: l.at, message: fmt.Sprintf(format, args...), limit: true})
}

// document reads headers and key-value pairs, one a line.
func (l *locator) document() {
	for l.skip(" \t\n"); l.at < len(l.text); l.skip(" \t\n") {
		switch l.text[l.at] {
		case '#':
		case '[':
			l.header()
		default:
			l.pair(l.table, 0)
		}
		l.endOfLine()
	}
}

// endOfLine reads an optional comment and the end of the line or text.
func (l *locator) endOfLine() {
	l.skip(" \t")
	if l.peek('#') {
		l.comment()
	}
	if l.at < len(l.text) && l.text[l.at] != '\n' {
		l.fail("expected the end of the line")
	}
}

// comment reads up to the end of the line.
func (l *locator) comment() {
	if n := strings.IndexByte(l.text[l.at:], '\n'); n >= 0 {
		l.at += n
		return
	}
	l.at = len(l.text)
}

// header reads "[a.b]" or "[[a.b]]" and makes it the table of the next keys.
func (l *locator) header() {
	closing := "]"
	if strings.HasPrefix(l.text[l.at:], "[[") {
		closing = "]]"
	}
	l.at += len(closing)
	l.skip(" \t")
	begin := l.at
	parts := l.key()
	whole := span{begin, parts[len(parts)-1].end}
	path := ""
	for i, p := range parts {
		path = join(path, p.text)
		switch n := l.count[path]; {
		case i == len(parts)-1 && closing == "]]":
			l.count[path]++
			l.note(path, spot{key: whole, value: whole})
			path = l.element(path, n)
		case i == len(parts)-1: // noted below
		case n > 0:
			path = element(path, n-1)
		default:
			l.note(path, spot{key: p.span, value: p.span})
		}
	}
	l.note(path, spot{key: whole, value: whole})
	l.skip(" \t")
	l.expect(closing)
	l.table = path
}

// pair reads "key = value" inside the table with the given path.
func (l *locator) pair(table string, depth int) {
	parts, path := l.key(), table
	for _, p := range parts[:len(parts)-1] {
		path = join(path, p.text)
		l.note(path, spot{key: p.span, value: p.span})
	}
	last := parts[len(parts)-1]
	path = join(path, last.text)
	l.skip(" \t")
	l.expect("=")
	value := l.value(path, depth)
	l.note(path, spot{key: last.span, value: value})
}

// note keeps the first spot of a path; a table may be mentioned again.
func (l *locator) note(path string, s spot) {
	if len(l.spots) >= maxEntries {
		l.failLimit("more than %d keys and values in one file", maxEntries)
	}
	if _, seen := l.spots[path]; !seen {
		l.spots[path] = s
	}
}

// element is the path of the next element of an array, element i.
func (l *locator) element(path string, i int) string {
	if i >= maxItems {
		l.failLimit("more than %d elements in an array", maxItems)
	}
	return element(path, i)
}

// element is the path of element i of an array.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// join is the path of a key in the table with the given path, "" for the root.
func join(table, key string) string {
	if key == "" || strings.IndexFunc(key, func(r rune) bool { return !isBare(r) }) >= 0 {
		key = strconv.Quote(key)
	}
	if table == "" {
		return key
	}
	return table + "." + key
}

// isBare reports whether a key may hold r without quotes.
func isBare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// skip passes over bytes of the given set.
func (l *locator) skip(set string) {
	for l.at < len(l.text) && strings.IndexByte(set, l.text[l.at]) >= 0 {
		l.at++
	}
}

// peek reports whether the next byte is c.
func (l *locator) peek(c byte) bool { return l.at < len(l.text) && l.text[l.at] == c }

// expect passes over token, which must come next.
func (l *locator) expect(token string) {
	if !strings.HasPrefix(l.text[l.at:], token) {
		l.fail("expected %q", token)
	}
	l.at += len(token)
}
