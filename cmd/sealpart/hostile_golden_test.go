package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is said now into testdata/hostile; review it as prose")

var caseLine = regexp.MustCompile(`(?m)^== (.+)\n`)

// readGolden reads what is to be said, by the name of the case.
func (u suite) readGolden(t *testing.T) map[string]string {
	golden := map[string]string{}
	text, err := os.ReadFile(filepath.Join("testdata", "hostile", u.golden))
	if err != nil && !*update {
		t.Fatal(err)
	}
	at := caseLine.FindAllSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		golden[string(text[m[2]:m[3]])] = string(text[m[1]:end])
	}
	return golden
}

// writeGolden writes what was said, in the order of the cases.
func (u suite) writeGolden(t *testing.T, golden map[string]string) {
	var text strings.Builder
	for _, c := range u.cases {
		fmt.Fprintf(&text, "== %s\n%s", c.name, golden[c.name])
	}
	if err := os.WriteFile(filepath.Join("testdata", "hostile", u.golden), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
