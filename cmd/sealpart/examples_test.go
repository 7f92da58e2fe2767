package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// TestExamplesAreTried fails where a folder of definitions in examples/ is named in no
// script: what people copy must have been applied.
func TestExamplesAreTried(t *testing.T) {
	scripts := allScripts(t)
	folders := map[string]bool{}
	err := fs.WalkDir(os.DirFS("../../examples"), ".", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".toml" {
			folders[path.Dir(name)] = true
		}
		return err
	})
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d folders of examples: %v", len(folders), err)
	}
	for folder := range folders {
		if !regexp.MustCompile(`EXAMPLES'?/` + regexp.QuoteMeta(folder) + `(\s|')`).Match(scripts) {
			t.Errorf("no script in testdata/script names $EXAMPLES/%s", folder)
		}
	}
}

// allScripts returns all test scripts, one behind the other.
func allScripts(t *testing.T) (all []byte) {
	files, err := filepath.Glob("testdata/script/*.tx*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}
