package definitions

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is one thing that is wrong with the definitions, and where it stands.
type Error struct {
	File    string // path of the file, or of the directory that cannot be read
	Line    int    // from 1; 0 where the error is about the file as a whole
	Column  int    // from 1, counted in characters
	Key     string // the key it is about, such as "partition.size_min"; may be empty
	Message string // lower case, without the place
	Excerpt string // the line, and under it a mark; empty where Line is 0
	Hint    string // what to write instead; may be empty
}

// Error writes "FILE:LINE:COLUMN: message", then the line with a mark under it,
// then the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Message)
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	if e.Hint != "" {
		b.WriteString("\nhint: " + e.Hint)
	}
	return b.String()
}

// place is a run of bytes of a file, which an error can point at.
type place struct {
	file       *file
	start, end int
}

// file is a definition or drop-in as it was read, with Unix line ends.
type file struct {
	path string // as messages show it
	text string
}

// errorf returns the Error that something at p, about key, is wrong.
func (p place) errorf(key, format string, args ...any) *Error {
	e := &Error{File: p.file.path, Key: key, Message: printable(clip(fmt.Sprintf(format, args...), messageMax))}
	if p.file.text == "" {
		return e
	}
	var lineStart int
	e.Line, e.Column, lineStart = p.position()
	line, _, _ := strings.Cut(p.file.text[lineStart:], "\n")
	if inSecret(p.file.text[:lineStart]) {
		e.Message, e.Excerpt = withoutParts(e.Message, line), excerpt(e.Line, veil, 0, len(veil))
		return e
	}
	e.Message = withoutSecrets(e.Message, line)
	line, from, to := veiled(line, min(p.start, len(p.file.text))-lineStart, min(p.end, lineStart+len(line))-lineStart)
	e.Excerpt = excerpt(e.Line, line, from, to)
	return e
}

// position returns the line of a place and its column in characters, both from 1, and the byte
// at which the line begins.
func (p place) position() (line, column, lineStart int) {
	start := min(p.start, len(p.file.text))
	lineStart = strings.LastIndexByte(p.file.text[:start], '\n') + 1
	return 1 + strings.Count(p.file.text[:lineStart], "\n"), 1 + utf8.RuneCountInString(p.file.text[lineStart:start]), lineStart
}

// hint sets the hint and returns e.
func (e *Error) hint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// How many characters of a long line, and of a message that quotes a long value,
// are shown.
const (
	excerptMax = 100
	messageMax = 300
)

// excerpt shows a line with its number, and a mark under its bytes [start, end).
func excerpt(number int, line string, start, end int) string {
	before, marked, after := clip(line[:start], -excerptMax/2), "", ""
	if end > start {
		marked, after = clip(line[start:end], excerptMax/2), line[end:]
	}
	after = clip(after, max(0, excerptMax-utf8.RuneCountInString(before+marked)))
	mark := strings.Repeat("^", max(1, utf8.RuneCountInString(marked)))
	gutter := fmt.Sprintf("%4d | ", number)
	blank := strings.Repeat(" ", len(gutter)-2) + "| "
	return gutter + printable(before+marked+after) + "\n" + blank + blanks(before) + mark
}

// clip cuts text to n characters: its first ones, or for a negative n its last.
func clip(text string, n int) string {
	runes := []rune(text)
	switch {
	case n >= 0 && len(runes) > n:
		return string(runes[:n])
	case n < 0 && len(runes) > -n:
		return string(runes[len(runes)+n:])
	}
	return text
}

// blanks is text with all but its tabs turned into spaces, so that a mark behind
// it lines up however wide the terminal's tabs are.
func blanks(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text)
}

// printable replaces what could steer a terminal. Definitions are files of others.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
