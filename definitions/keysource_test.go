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
	const form = `must be "file:PATH", "credential:NAME", "fd:N", "socket:PATH" or "ask", not `
	for text, want := range map[string]string{
		"": form + `""`, ":": form + `":"`, "FILE:/k": form + `"FILE:/k"`, "file": `must be an absolute path, not ""`, "file:": `must be an absolute path, not ""`,
		"fd:": `has "", which is no file descriptor`, "fd:03": `has "03", which is no file descriptor`, "fd:+3": `has "+3", which is no file descriptor`,
		"credential:..": `has "..", which is no name of a credential`, "credential:a\n": `has "a\n", which is no name of a credential`,
	} {
		if kind, where, err := ParseKeySource(text); err == nil || err.Error() != want {
			t.Errorf("%q was taken for %q, %q: %v", text, kind, where, err)
		}
	}
}
