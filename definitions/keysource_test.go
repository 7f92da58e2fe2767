package definitions

import "testing"

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
	for _, text := range []string{"", ":", "file", "file:", "fd:", "fd:03", "fd:+3", "credential:..", "credential:a\n", "FILE:/k"} {
		if kind, where, err := ParseKeySource(text); err == nil {
			t.Errorf("%q was taken for %q, %q", text, kind, where)
		}
	}
}
