package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/tests/rig"
)

const tableFile = "../../docs/file-systems.md"

// TestTable: docs says what the rows of the matrix expect, which its long form proves.
func TestTable(t *testing.T) {
	want := table()
	if *update {
		if err := os.WriteFile(tableFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(tableFile); err != nil || string(got) != want {
		t.Errorf("%s is not what the matrix expects (%v): go test ./tests/matrix -run Table -update writes it", tableFile, err)
	}
}

// table returns the page of docs.
func table() string {
	var page strings.Builder
	page.WriteString(`# File systems

What comes of converting each in place, by the place of the LUKS2 header (` + "`header_room`" + `; discard is
a gap with ` + "`free_space = \"discard\"`" + `). Equal: the content is what it was, by the bytes where its size
stays, else by its files and its own check. Refused: before the first write, the disk is as it was byte
for byte, and the reason is the one that is named.

Written by ` + "`go test ./tests/matrix -run Table -update`" + `, and proven by ` + "`go test ./tests/matrix -all`" + `.

| file system | ` + strings.Join(order, " | ") + ` | reason |
|---|` + strings.Repeat("---|", len(order)) + `---|
`)
	for _, k := range kinds {
		reason := ""
		fmt.Fprintf(&page, "| %s |", k.name)
		for _, e := range k.expected {
			if e != equal {
				reason, e = e, "refused"
			}
			fmt.Fprintf(&page, " %s |", e)
		}
		fmt.Fprintf(&page, " %s |\n", reason)
	}
	return page.String()
}

// judgeBtrfs compares the files of a btrfs that was made smaller.
func (b bench) judgeBtrfs(t *testing.T, plain string) {
	t.Helper()
	rig.Run(t, "sh", "-c", "btrfs check "+plain+" 2>&1")
	var trees []string
	for i, fs := range []string{b.fs, plain} {
		tree := filepath.Join(filepath.Dir(plain), fmt.Sprint("tree", i))
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		rig.Run(t, "sh", "-c", "btrfs restore "+fs+" "+tree+" 2>&1")
		trees = append(trees, tree)
	}
	rig.Run(t, "diff", "-r", "--no-dereference", trees[0], trees[1])
	if files := rig.Run(t, "find", trees[0], "-type", "f"); strings.Count(files, "\n") < 60 {
		t.Errorf("fewer files than were put there:\n%s", files)
	}
}
