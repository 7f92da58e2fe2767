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
// generous, for a busy machine: without the limits they take minutes, or overflow the stack.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	fill := func(part string) string { return strings.Repeat(part, (maxFile-100)/len(part)) }
	for name, c := range map[string]struct{ text, want string }{
		"arrays":             {"a = " + fill("["), "1:13: nested deeper than 8 levels\n"},
		"inline tables":      {"a = " + fill("{a="), "1:29: nested deeper than 8 levels\n"},
		"dotted key":         {fill("a.") + "a = 1", "1:18: nested deeper than 8 levels\n"},
		"dotted header":      {"[" + fill("a."), "1:19: nested deeper than 8 levels\n"},
		"unknown keys":       {"[partition]\n" + manyKeys(maxEntries-2), "2:1: unknown key \"k\" in [partition]\n"},
		"unknown tables":     {strings.ReplaceAll(manyKeys(maxEntries), "=1", "={}"), "1:1: unknown table [k]\n"},
		"long unknown key":   {"[partition]\n" + fill("a") + " = 1", ": a key is longer than 128 bytes\n"},
		"long line":          {"[partition]\nlabel = '" + fill("a") + "'", "2:9: \"label\" is longer than 4095 bytes\n"},
		"specifiers":         {"[partition]\nlabel = '" + fill("%M") + "'", "2:9: \"label\" is longer than 4095 bytes\n"},
		"PCRs":               {"[[encryption.key]]\ntype = 'tpm2'\npcrs = [" + fill("7,") + "]", "3:521: more than 256 elements in an array\n"},
		"keys":               {fill("[[encryption.key]]\ntype = 'tpm2'\n"), "513:17: more than 256 elements in an array\n"},
		"one quote":          {fill(`'`), "1:3: not TOML: expected \"=\"\n"},
		"quotes":             {"a = " + `"""` + fill(`\"""`), ": not TOML: unexpected EOF; expected '\"\"\"'\n"},
		"newlines":           {fill("\n") + "x", ":1: not TOML: unexpected EOF; expected key separator '='\n"},
		"deep after a fault": {"a = 1 " + fill("["), "1:7: not TOML: expected the end of the line\n"},
		"deep after a quote": {"a = \"\"\" \\\"\"\"\" '''\nb = " + fill("["), "1:14: not TOML: expected a top-level item to end with a newline, comment, or EOF, but got '\\'' instead\n"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			if _, err := load(map[string]string{"a.toml": c.text}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "/etc/sealpart.d/a.toml:") {
				t.Errorf("%.300v, not %q", err, c.want)
			} else if len(err.Error()) > 20_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
