package definitions

import (
	"strings"
	"testing"
	"time"
)

// TestParseText has files that are no plain text, or come from other systems.
func TestParseText(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"byte order mark", "\ufeff[partition]\nweight = 1\n", ""},
		{"Windows line ends", "[partition]\r\nweight = 1\r\n# end\r\n", ""},
		{"error behind a byte order mark", "\ufeffa = ?", "f:1:5: not TOML: expected value but found '?' instead\n   1 | a = ?\n     |     ^"},
		{"error behind Windows line ends", "a = 1\r\nb = ?\r\n", "f:2:5: not TOML: expected value but found '?' instead\n   2 | b = ?\n     |     ^"},
		{"Mac line ends", "a = 1\rb = 2\r", "f:1:6: control character 0x0d\n   1 | a = 1\ufffdb = 2\ufffd\n     |      ^"},
		{"NUL byte", "a = 1\n\x00", "f:2:1: a NUL byte: this is no text file\n   2 | \ufffd\n     | ^"},
		{"escape sequence", "a = '\x1b[2J'", "f:1:6: control character 0x1b\n   1 | a = '\ufffd[2J'\n     |      ^"},
		{"UTF-16", "\xff\xfea\x00", "f:1:1: not UTF-8: byte 0xff\n   1 | \ufffd\ufffda\ufffd\n     | ^"},
		{"half a character", "# \xc3", "f:1:3: not UTF-8: byte 0xc3\n   1 | # \ufffd\n     |   ^"},
		{"the replacement character itself", "# \ufffd", ""},
		{"direction override", "a = '\u202e' b", "f:1:8: not TOML: expected a top-level item to end with a newline, comment, or EOF, but got 'b' instead\n   1 | a = '\ufffd' b\n     |        ^^"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse("f", c.text)
			switch {
			case err == nil && c.want != "":
				t.Errorf("no error, want %s", c.want)
			case err != nil && err.Error() != c.want:
				t.Errorf("got  %q\nwant %q", err.Error(), c.want)
			}
		})
	}
}

// TestHostile has files of a MiB that would keep a careless reader busy. The time is
// generous: without the limits they take minutes, or overflow the stack.
func TestHostile(t *testing.T) {
	fill := func(part string) string { return strings.Repeat(part, (maxFile-100)/len(part)) }
	for name, text := range map[string]string{
		"arrays":             "a = " + fill("["),
		"inline tables":      "a = " + fill("{a="),
		"dotted key":         fill("a.") + "a = 1",
		"dotted header":      "[" + fill("a."),
		"unknown keys":       "[partition]\n" + manyKeys(maxEntries-2),
		"unknown tables":     strings.ReplaceAll(manyKeys(maxEntries), "=1", "={}"),
		"long unknown key":   "[partition]\n" + fill("a") + " = 1",
		"long line":          "[partition]\nlabel = '" + fill("a") + "'",
		"specifiers":         "[partition]\nlabel = '" + fill("%M") + "'",
		"PCRs":               "[[encryption.key]]\ntype = 'tpm2'\npcrs = [" + fill("7,") + "]",
		"keys":               fill("[[encryption.key]]\ntype = 'tpm2'\n"),
		"one quote":          fill(`'`),
		"quotes":             "a = " + `"""` + fill(`\"""`),
		"newlines":           fill("\n") + "x",
		"deep after a fault": "a = 1 " + fill("["),
		"deep after a quote": "a = \"\"\" \\\"\"\"\" '''\nb = " + fill("["),
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			if _, err := load(map[string]string{"a.toml": text}); err == nil {
				t.Error("loaded without error")
			} else if len(err.Error()) > 20_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
