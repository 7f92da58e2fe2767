package definitions

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The kinds of key source.
const (
	SourceFile       = "file"       // a file, by its absolute path
	SourceCredential = "credential" // a credential of the service manager, by its name
	SourceFD         = "fd"         // an open file descriptor, by its number
	SourceSocket     = "socket"     // an AF_UNIX socket, by its absolute path
	SourceAsk        = "ask"        // whoever sits at the terminal
)

// ParseKeySource takes a key source apart: "file:PATH", "credential:NAME", "fd:N",
// "socket:PATH" or "ask". It says where a secret comes from and holds none itself.
func ParseKeySource(text string) (kind, where string, err error) {
	kind, where, _ = strings.Cut(text, ":")
	switch {
	case text == SourceAsk:
	case kind == SourceFile, kind == SourceSocket:
		err = checkPath(where)
	case kind == SourceCredential:
		err = checkCredential(where)
	case kind == SourceFD:
		err = checkDescriptor(where)
	default:
		err = fmt.Errorf(`must be "file:PATH", "credential:NAME", "fd:N", "socket:PATH" or "ask", not %q`, text)
	}
	return kind, where, err
}

// checkCredential refuses what systemd takes for no credential's name: it is a
// file name (systemd.exec(5), "Credentials").
func checkCredential(name string) error {
	bad := func(r rune) bool { return r == '/' || r == ':' || !unicode.IsPrint(r) }
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("has %q, which is no name of a credential", name)
	}
	return nil
}

func checkDescriptor(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return fmt.Errorf("has %q, which is no file descriptor", text)
	}
	return nil
}

// keySource returns a key source as it is written, "" where it is not set.
func (b *builder) keySource(path string) string {
	return b.keySourceIn(b.set, path)
}

// keySourceIn is keySource of one of several like tables.
func (b *builder) keySourceIn(set settings, path string) string {
	text, s, ok := value[string](set, path)
	if !ok {
		return ""
	}
	if _, _, err := ParseKeySource(text); err != nil {
		b.fail(s, "%v", err)
	}
	return text
}
