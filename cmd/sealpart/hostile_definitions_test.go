package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// badDefinitions are what somebody may put below defs, and what plan says of it
// stands in testdata/hostile/definitions.txt. (All that can be wrong inside of a
// file: definitions/testdata/bad.) Nothing large is made before a test wants it: the scripts
// start this program a thousand times.
var badDefinitions = []struct {
	name string
	make func(t *testing.T)
}{
	{"unknown key", tomlFile("10.toml", "[partition]\ntype = \"root\"\nsize_mim = \"1G\"\n")},
	{"key behind a tab", tomlFile("10.toml", "[partition]\n\ttype = \"rooot\"\n")},
	{"wrong case", tomlFile("10.toml", "[Partition]\ntype = \"root\"\n")},
	{"wrong type", tomlFile("10.toml", "[partition]\ntype = 7\n")},
	{"no TOML", tomlFile("10.toml", "[partition\n")},
	{"key that is there twice", tomlFile("10.toml", "[partition]\ntype = \"root\"\ntype = \"home\"\n")},
	{"line that steers a terminal", tomlFile("10.toml", "[partition]\n\"\x1b[2J\" = 1\n")},
	{"string that steers a terminal", tomlFile("10.toml", "[partition]\ntype = \"\\u001b[2J\"\n")},
	{"binary file", tomlFile("10.toml", "\x7fELF\x02\x01\x01\x00\x00")},
	{"sizes that contradict", tomlFile("10.toml", "[partition]\ntype = \"root\"\nsize_min = \"2G\"\nsize_max = \"1G\"\n")},
	{"size of all digits", tomlFile("10.toml", "[partition]\ntype = \"root\"\nsize_min = \"99999999999999999999G\"\n")},
	{"key of no kind", tomlFile("10.toml", "[partition]\ntype = \"root\"\n[encryption]\n[[encryption.key]]\ntype = \"prayer\"\n")},
	{"encryption without a key", tomlFile("10.toml", "[partition]\ntype = \"root\"\n[encryption]\n")},
	{"two errors in two files", func(t *testing.T) {
		tomlFile("10.toml", "[partition]\ntype = \"root\"\nsize_mim = \"1G\"\n")(t)
		tomlFile("20.toml", "[partition]\ntyp = \"srv\"\n")(t)
	}},
	{"error in a drop-in", func(t *testing.T) {
		tomlFile("10.toml", "[partition]\ntype = \"root\"\n")(t)
		tomlFile("10.toml.d/50-size.toml", "[partition]\nsize_min = \"x\"\n")(t)
	}},
	{"file that has no end", link("/dev/zero", "10.toml")},
	{"file of 8 MiB", func(t *testing.T) { tomlFile("10.toml", strings.Repeat("#", 8<<20))(t) }},
	{"file that nests", func(t *testing.T) { tomlFile("10.toml", "x = "+strings.Repeat("[", 1<<17))(t) }},
	{"FIFO", func(t *testing.T) {
		if err := unix.Mkfifo("defs/10.toml", 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{"directory", tomlFile("10.toml/x", "")},
	{"link to itself", link("10.toml", "10.toml")},
	{"links in a circle", func(t *testing.T) {
		link("20.toml", "10.toml")(t)
		link("10.toml", "20.toml")(t)
	}},
	{"link to nothing", link("nowhere", "10.toml")},
	{"drop-ins that link to themselves", func(t *testing.T) {
		tomlFile("10.toml", "[partition]\ntype = \"root\"\n")(t)
		link("10.toml.d", "10.toml.d")(t)
	}},
	{"drop-ins that are a file", func(t *testing.T) {
		tomlFile("10.toml", "[partition]\ntype = \"root\"\n")(t)
		tomlFile("10.toml.d", "")(t)
	}},
}

// tomlFile writes a file below defs.
func tomlFile(name, text string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		path := filepath.Join("defs", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// link makes a symbolic link below defs.
func link(to, name string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join("defs", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBadDefinitions: all that is wrong is told once, with its place and a mark under
// it, and the disk, which is not there, is not looked at.
func TestBadDefinitions(t *testing.T) {
	u := suite{golden: "definitions.txt"}
	golden := u.readGolden(t)
	for _, c := range badDefinitions {
		u.cases = append(u.cases, hostile{name: c.name})
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.Mkdir("defs", 0o755); err != nil {
				t.Fatal(err)
			}
			c.make(t)
			s := runMain(t, commandLine("plan")...)
			got := fmt.Sprintf("plan: %d\n%s", s.code, s.err)
			if hints, errs := strings.Count(got, "hint: "), strings.Count(got, ": error: ")+strings.Count(got, "\n  defs/"); hints > errs {
				t.Errorf("%d hints for %d errors:\n%s", hints, errs, got)
			}
			if s.code == 0 || s.out != "" {
				t.Errorf("accepted: %s", s.out)
			}
			if *update {
				golden[c.name] = got
			} else if diff := cmp.Diff(golden[c.name], got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if *update {
		u.writeGolden(t, golden)
	}
}
