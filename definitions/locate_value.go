package definitions

import (
	"strconv"
	"strings"
)

// keyPart is one part of a dotted key, without its quotes.
type keyPart struct {
	text string
	span
}

// key reads a dotted key: bare parts, or parts in quotes.
func (l *locator) key() []keyPart {
	parts := []keyPart{l.keyPart()}
	for {
		end := l.at
		l.skip(" \t")
		if !l.peek('.') {
			l.at = end
			return parts
		}
		l.at++
		l.skip(" \t")
		parts = append(parts, l.keyPart())
		if len(parts) > maxDepth {
			l.failLimit("nested deeper than %d levels", maxDepth)
		}
	}
}

// keyPart reads one part of a key.
func (l *locator) keyPart() keyPart {
	start, text := l.at, ""
	switch {
	case l.peek('"'):
		l.oneLine('"')
		text = unquoteKey(l.text[start:l.at])
	case l.peek('\''):
		l.oneLine('\'')
		text = l.text[start+1 : l.at-1]
	default:
		for l.at < len(l.text) && isBare(rune(l.text[l.at])) {
			l.at++
		}
		text = l.text[start:l.at]
		if text == "" {
			l.fail("expected a key")
		}
	}
	if len(text) > maxKey {
		l.failLimit("a key is longer than %d bytes", maxKey)
	}
	return keyPart{text, span{start, l.at}}
}

// unquoteKey undoes the escapes of a quoted key. Those that Go does not share with
// TOML stay as they are: such a key is unknown, and only its place gets coarser.
func unquoteKey(quoted string) string {
	if text, err := strconv.Unquote(quoted); err == nil {
		return text
	}
	return quoted[1 : len(quoted)-1]
}

// value reads the value of the key with the given path, after blanks.
func (l *locator) value(path string, depth int) span {
	if depth >= maxDepth {
		l.failLimit("nested deeper than %d levels", maxDepth)
	}
	l.skip(" \t")
	start := l.at
	switch rest := l.text[l.at:]; {
	case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
		l.manyLines(rest[:3])
	case l.peek('"'), l.peek('\''):
		l.oneLine(rest[0])
	case l.peek('['):
		l.array(path, depth+1)
	case l.peek('{'):
		l.inlineTable(path, depth+1)
	default:
		l.bareValue()
	}
	return span{start, l.at}
}

// oneLine reads a string in the given quotes, "…" with or '…' without escapes.
func (l *locator) oneLine(quote byte) {
	for l.at++; l.at < len(l.text) && l.text[l.at] != '\n'; l.at++ {
		switch {
		case l.text[l.at] == quote:
			l.at++
			return
		case quote == '"' && l.text[l.at] == '\\':
			l.at++
			if l.peek('\n') {
				l.fail("a string ends before the end of its line")
			}
		}
	}
	l.at = min(l.at, len(l.text))
	l.fail("expected %q before the end of the line", quote)
}

// manyLines reads a string between triple quotes. Up to two more quotes may stand
// before the closing three.
func (l *locator) manyLines(quotes string) {
	for l.at += 3; l.at < len(l.text); l.at++ {
		switch rest := l.text[l.at:]; {
		case rest[0] == '\\' && quotes == `"""`:
			l.at++
		case strings.HasPrefix(rest, quotes):
			l.at += 3
			for more := 0; more < 2 && l.peek(quotes[0]); more++ {
				l.at++
			}
			return
		}
	}
	l.at = len(l.text)
	l.fail("expected %s before the end of the file", quotes)
}

// array reads "[…]" and notes its elements.
func (l *locator) array(path string, depth int) {
	l.at++
	for i := 0; ; i++ {
		l.blankLines()
		if l.peek(']') {
			l.at++
			return
		}
		here := l.element(path, i)
		value := l.value(here, depth)
		l.note(here, spot{key: value, value: value})
		l.blankLines()
		if !l.peek(']') {
			l.expect(",")
		}
	}
}

// inlineTable reads "{…}". The decoder takes it over several lines, as TOML 1.1 does.
func (l *locator) inlineTable(path string, depth int) {
	l.at++
	for {
		l.blankLines()
		if l.peek('}') {
			l.at++
			return
		}
		l.pair(path, depth)
		l.blankLines()
		if !l.peek('}') {
			l.expect(",")
		}
	}
}

// blankLines passes over blanks, newlines and comments inside brackets.
func (l *locator) blankLines() {
	for l.skip(" \t\n"); l.peek('#'); l.skip(" \t\n") {
		l.comment()
	}
}

// bareValue reads a number, a boolean or a date.
func (l *locator) bareValue() {
	start := l.at
	for l.at < len(l.text) && (isBare(rune(l.text[l.at])) || strings.IndexByte("+.: ", l.text[l.at]) >= 0) {
		l.at++
	}
	l.at = start + len(strings.TrimRight(l.text[start:l.at], " "))
	if l.at == start {
		l.fail("expected a value")
	}
}
