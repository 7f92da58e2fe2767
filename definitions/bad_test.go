package definitions

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the errors as they are into testdata/bad; review them as prose")

// badCase is one set of bad definitions with the errors that must be told.
type badCase struct {
	name  string
	files []badFile // the last one is "errors"
}

type badFile struct{ name, text string }

var (
	caseLine = regexp.MustCompile(`(?m)^== (.+)\n`)
	fileLine = regexp.MustCompile(`(?m)^-- (\S+) --\n`)
)

// splitAt cuts text at the lines that re matches, and returns what they name with
// the text below each.
func splitAt(re *regexp.Regexp, text string) []badFile {
	var parts []badFile
	at := re.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		parts = append(parts, badFile{text[m[2]:m[3]], text[m[1]:end]})
	}
	return parts
}

func readBadCases(t *testing.T, path string) []badCase {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []badCase
	for _, part := range splitAt(caseLine, string(text)) {
		cases = append(cases, badCase{part.name, splitAt(fileLine, part.text)})
	}
	return cases
}

// TestBad loads every case of testdata/bad and compares the whole text of the errors.
func TestBad(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range paths {
		cases := readBadCases(t, path)
		for i := range cases {
			t.Run(cases[i].name, func(t *testing.T) { checkBad(t, &cases[i]) })
		}
		count += len(cases)
		if *update {
			writeBadCases(t, path, cases)
		}
	}
	if count < 180 {
		t.Errorf("only %d cases were found", count)
	}
}

func checkBad(t *testing.T, c *badCase) {
	last := &c.files[len(c.files)-1]
	fsys := fstest.MapFS{}
	for _, f := range c.files {
		fsys[f.name] = &fstest.MapFile{Data: []byte(f.text)}
	}
	delete(fsys, "errors")
	definitions, err := Load(Options{
		Sources: []Source{{FS: fsys, Dir: "/etc/sealpart.d"}}, Architecture: "x86-64",
		Specifiers: Specifiers{'a': "x86-64", 'M': "acme", 'B': "1\n2"},
	})
	if err == nil {
		t.Fatalf("loaded without error: %+v", definitions)
	}
	got := err.Error() + "\n"
	if *update {
		last.text = got
	}
	if last.name != "errors" {
		t.Fatalf("the last file of a case is \"errors\", not %q", last.name)
	}
	if d := cmp.Diff(last.text, got); d != "" {
		t.Errorf("errors differ (-want +got):\n%s", d)
	}
}

func writeBadCases(t *testing.T, path string, cases []badCase) {
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "== %s\n", c.name)
		for _, f := range c.files {
			fmt.Fprintf(&b, "-- %s --\n%s", f.name, f.text)
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
