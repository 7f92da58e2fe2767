package definitions

import (
	"testing"
)

func TestParseKeySource(t *testing.T) {
	cases := []struct{ text, kind, where string }{
		{"file:/run/a:b", SourceFile, "/run/a:b"},
		{"credential:vendor.key", SourceCredential, "vendor.key"},
		{"fd:0", SourceFD, "0"},
		{"fd:2147483647", SourceFD, "2147483647"},
	}
	for _, c := range cases {
		kind, where, err := ParseKeySource(c.text)
		if kind != c.kind || where != c.where || err != nil {
			t.Errorf("%q is %q, %q, %v", c.text, kind, where, err)
		}
	}
	const (
		form       = `must be "file:PATH", "credential:NAME", "fd:N", "socket:PATH" or "ask"; a secret itself does not belong there`
		path       = `must have an absolute path without ".."`
		descriptor = "has what is no file descriptor"
		credential = "has what is no name of a credential"
	)
	for text, want := range map[string]string{
		"": form, ":": form, "FILE:/k": form, "1234": form, "file": path, "file:": path, "file:1234": path, "socket:/a/../b": path,
		"fd:": descriptor, "fd:03": descriptor, "fd:+3": descriptor, "credential:..": credential, "credential:a\n": credential,
	} {
		if kind, where, err := ParseKeySource(text); err == nil || err.Error() != want {
			t.Errorf("%q was taken for %q, %q: %v", text, kind, where, err)
		}
	}
}
