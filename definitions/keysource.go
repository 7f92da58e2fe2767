package definitions

import (
	"errors"
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
		if checkPath(where) != nil {
			err = errors.New("must have an absolute path without \"..\"")
		}
	case kind == SourceCredential:
		err = checkCredential(where)
	case kind == SourceFD:
		err = checkDescriptor(where)
	default:
		err = errors.New(`must be "file:PATH", "credential:NAME", "fd:N", "socket:PATH" or "ask"; a secret itself does not belong there`)
	}
	return kind, where, err
}

// checkCredential refuses what systemd takes for no credential's name: it is a
// file name (systemd.exec(5), "Credentials").
func checkCredential(name string) error {
	bad := func(r rune) bool { return r == '/' || r == ':' || !unicode.IsPrint(r) }
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return errors.New("has what is no name of a credential")
	}
	return nil
}

func checkDescriptor(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return errors.New("has what is no file descriptor")
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
