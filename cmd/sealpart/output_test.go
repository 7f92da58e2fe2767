package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// narrow is an output that has room for some bytes and then fails, as a full disk
// does. It counts how often it is written to.
type narrow struct{ room, writes int }

func (n *narrow) Write(p []byte) (int, error) {
	n.writes++
	fits := min(len(p), n.room)
	if n.room -= fits; fits < len(p) {
		return fits, errors.New("no space left")
	}
	return fits, nil
}

// TestOutput: what is shown is written at once, and what could not be shown is not
// called done.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	definition := []byte("[partition]\ntype = \"root\"\nsize_max = \"64M\"\n")
	if err := os.WriteFile(filepath.Join(dir, "10-root.toml"), definition, 0o600); err != nil {
		t.Fatal(err)
	}
	create := []string{"--empty", "create", "--size", "200M", "--definitions", dir, image}
	for _, args := range [][]string{
		append([]string{"plan"}, create...), append([]string{"apply"}, create...), {"inspect", image},
	} {
		var diagnostics bytes.Buffer
		out := narrow{room: 40}
		if code := Main(t.Context(), args, &out, &diagnostics); code != exitError || !strings.Contains(diagnostics.String(), "no space left") {
			t.Errorf("%s with no room for what it says: code %d\n%s", args[0], code, &diagnostics)
		}
		out = narrow{room: 1 << 20}
		if code := Main(t.Context(), args, &out, &diagnostics); code != exitDone || out.writes != 1 {
			t.Errorf("%s: code %d, %d writes\n%s", args[0], code, out.writes, &diagnostics)
		}
	}
}
