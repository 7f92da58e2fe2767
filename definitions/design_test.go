package definitions

import (
	"os"
	"strings"
	"testing"
)

// TestEveryNamedKey reads testdata/design.toml, which sets every key that the
// design names, and checks that each is taken or refused by name as not built.
func TestEveryNamedKey(t *testing.T) {
	text, err := os.ReadFile("testdata/design.toml")
	if err != nil {
		t.Fatal(err)
	}
	// A file tells so many errors only; a table at a time stays below that.
	seen := map[string]bool{}
	for _, part := range strings.Split(string(text), "\n\n") {
		d, wrong := parse("design.toml", part)
		if wrong != nil {
			t.Fatal(wrong)
		}
		set, errs := read(d)
		for path, s := range set {
			seen[path] = true
			tables, _ := s.value.([]settings)
			for _, table := range tables {
				for path := range table {
					seen[trimIndex(path)+"."+lastPart(path)] = true
				}
			}
		}
		for _, err := range errs {
			e := err.(*Error)
			if !strings.HasSuffix(e.Message, " is not built yet") {
				t.Error(e)
			}
			seen[trimIndex(e.Key)+"."+lastPart(e.Key)] = true
			seen[e.Key] = true
		}
	}
	for _, k := range keys {
		if k.kind != kindTable && !seen[k.path()] {
			t.Errorf("%s is known, but the design does not name it", k.path())
		}
	}
}

// TestKeyTable checks the list of keys itself.
func TestKeyTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k.path()] {
			t.Errorf("%s is listed twice", k.path())
		}
		seen[k.path()] = true
		if k.specifiers && k.kind != kindText && k.kind != kindTexts {
			t.Errorf("%s takes specifiers and is %s", k.path(), k.kind)
		}
		if nearest(strings.ToUpper(k.name), keyNames(k.table)) != k.name {
			t.Errorf("%s is not found by its upper-case spelling", k.path())
		}
	}
	for name := range keyTypesFor {
		if k, ok := findKey("encryption.key", name); !ok || k.built == later {
			t.Errorf("%q has a type of key, and is no built key", name)
		}
	}
}
