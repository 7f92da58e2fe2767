package definitions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// TestLocate checks which text each path of a file is found at.
func TestLocate(t *testing.T) {
	text := `
# a = 1, no key
top = 1 # comment
[a]
'b c' = "x # y" # comment
"d\te" = '\'
f . g.h = [ 1, # [comment]
  "]", [2, 3,], { x = 1, y.z = 'a' } ]
m = """
[no.table]
k = 1 \""" ""x"""""
l = '''
]]] ' ''
'''
date = 1979-05-27 07:32:00
[[a.list]]
n = -1.5e3
[a.list.sub]
o = true
[[ a . "list" ]]
p = {}
[z]
`
	want := map[string]string{
		"top": "1", "a": "a", `a."b c"`: `"x # y"`, `a."d\te"`: `'\'`,
		"a.f": "f", "a.f.g": "g", "a.f.g.h": "[ 1, # [comment]\n  \"]\", [2, 3,], { x = 1, y.z = 'a' } ]",
		"a.f.g.h[0]": "1", "a.f.g.h[1]": `"]"`, "a.f.g.h[2]": "[2, 3,]", "a.f.g.h[2][0]": "2", "a.f.g.h[2][1]": "3",
		"a.f.g.h[3]": "{ x = 1, y.z = 'a' }", "a.f.g.h[3].x": "1", "a.f.g.h[3].y": "y", "a.f.g.h[3].y.z": "'a'",
		"a.m": "\"\"\"\n[no.table]\nk = 1 \\\"\"\" \"\"x\"\"\"\"\"", "a.l": "'''\n]]] ' ''\n'''", "a.date": "1979-05-27 07:32:00",
		"a.list": "a.list", "a.list[0]": "a.list", "a.list[0].n": "-1.5e3", "a.list[0].sub": "a.list.sub", "a.list[0].sub.o": "true",
		"a.list[1]": `a . "list"`, "a.list[1].p": "{}", "z": "z",
	}
	spots, f := locate(text)
	if f != nil {
		t.Fatalf("%s at %q", f.message, text[f.at:])
	}
	got := map[string]string{}
	for path, s := range spots {
		got[path] = text[s.value.start:s.value.end]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if k := spots[`a."d\te"`].key; text[k.start:k.end] != `"d\te"` {
		t.Errorf("the key is found as %q", text[k.start:k.end])
	}
	var values map[string]any
	if _, err := toml.Decode(text, &values); err != nil {
		t.Errorf("the text of this test is no TOML: %v", err)
	}
}

// TestLimits has texts just within and just beyond each limit.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name     string
		text     func(n int) string
		most     int
		complain string
	}{
		{"nested arrays", func(n int) string { return "a = " + strings.Repeat("[", n) + strings.Repeat("]", n) }, maxDepth, "nested deeper"},
		{"nested tables", func(n int) string { return "a = " + strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n) }, maxDepth - 1, "nested deeper"},
		{"dotted key", func(n int) string { return strings.Repeat("a.", n) + "a = 1" }, maxDepth - 1, "nested deeper"},
		{"header", func(n int) string { return "[" + strings.Repeat("a.", n) + "a]" }, maxDepth - 1, "nested deeper"},
		{"long key", func(n int) string { return strings.Repeat("a", n) + " = 1" }, maxKey, "a key is longer"},
		{"elements", func(n int) string { return "a = [" + strings.Repeat("1,", n) + "]" }, maxItems, "more than 256 elements"},
		{"tables of an array", func(n int) string { return strings.Repeat("[[a]]\n", n) }, maxItems, "more than 256 elements"},
		{"keys", manyKeys, maxEntries, "more than 10000 keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse("x", c.text(c.most)); err != nil {
				t.Errorf("%d: %v", c.most, err)
			}
			if _, err := parse("x", c.text(c.most+1)); err == nil || !strings.HasPrefix(err.Message, c.complain) {
				t.Errorf("%d: %v, want %s", c.most+1, err, c.complain)
			}
			if _, err := parse("x", c.text(100_000)); err == nil || !strings.HasPrefix(err.Message, c.complain) {
				t.Errorf("100000: %v, want %s", err, c.complain)
			}
		})
	}
}

// manyKeys is n different keys, a, b, …
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k")
		for ; i > 0; i /= 26 {
			b.WriteByte('a' + byte(i%26))
		}
		b.WriteString("=1\n")
	}
	return b.String()
}

// FuzzLocate checks the locator against the decoder: whatever the decoder takes the
// locator takes, or calls too large, and finds every key of it.
func FuzzLocate(f *testing.F) {
	for _, text := range []string{
		everyKey, "a = '''\n'''\n", `"a.b"."c d" = """x\""""""`, "a = [[], {b = 1}, [ # c\n]]\n", "[[a]]\n[a.b]\n[[a]]\n", "a = 2026-01-01 00:00:00Z # x", "\"\\u0061\" = 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 || checkText(&file{text: text}) != nil || strings.Contains(text, "\r") {
			return
		}
		spots, wrong := locate(text)
		if wrong != nil && wrong.limit {
			return
		}
		if wrong != nil && (wrong.at < 0 || wrong.at > len(text)) {
			t.Fatalf("%s at %d of %d bytes", wrong.message, wrong.at, len(text))
		}
		if strings.Contains(text, `\x`) || strings.Contains(text, `\e`) {
			spots = nil // a key may have an escape that unquoteKey leaves as it is
		}
		values, err := decode(&file{text: text}, text)
		switch {
		case err == nil && wrong != nil:
			t.Fatalf("the decoder takes %q, the locator says %s at %d", text, wrong.message, wrong.at)
		case err == nil && spots != nil:
			findAll(t, spots, "", values)
		}
	})
}

// findAll checks that every decoded value has a spot.
func findAll(t *testing.T, spots map[string]spot, path string, value any) {
	if _, ok := spots[path]; !ok && path != "" {
		t.Errorf("no spot for %s", path)
	}
	if table, ok := value.(map[string]any); ok {
		for name, v := range table {
			findAll(t, spots, join(path, name), v)
		}
	}
	for i := range length(value) {
		findAll(t, spots, element(path, i), item(value, i))
	}
}

// FuzzLoad checks that no text makes Load panic or hang, and that every error has a
// place in the text.
func FuzzLoad(f *testing.F) {
	f.Add(everyKey, "")
	f.Add("[partition]\ntype = 'root'\n", "[partition]\nweight = -1\n")
	f.Add("\ufeff[partition]\r\ntype = 'swap'\r\n", "verity.role = 'hash'")
	paths, _ := filepath.Glob("testdata/*.toml")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "")
	}
	f.Fuzz(func(t *testing.T, main, dropIn string) {
		definitions, err := load(map[string]string{"a.toml": main, "a.toml.d/b.toml": dropIn})
		if err == nil {
			return
		}
		if definitions != nil {
			t.Error("definitions beside an error")
		}
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
			e, ok := err.(*Error)
			if !ok {
				t.Fatalf("%v is no *Error", err)
			}
			text := map[bool]string{true: main, false: dropIn}[strings.HasSuffix(e.File, "/a.toml")]
			if lines := strings.Count(text, "\n") + 1; e.Line > lines || (e.Line > 0) != (e.Excerpt != "") {
				t.Errorf("%#v in a file of %d lines", e, lines)
			}
			if strings.ContainsAny(strings.ReplaceAll(e.Excerpt, "\n     | ", ""), "\x00\x1b\r\n") {
				t.Errorf("excerpt %q steers the terminal", e.Excerpt)
			}
		}
	})
}
