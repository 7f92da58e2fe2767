package kill

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mapping is a run of a process's memory.
type mapping struct {
	from, to int64
	name     string
	flags    []string // VmFlags of proc_pid_smaps(5)
}

// find is where in a process's memory a text is.
type find struct {
	at int64
	mapping
}

// String says where that is, for errors.
func (f find) String() string { return fmt.Sprintf("at %#x in %q (%s)", f.at, f.name, f.flags) }

// is reports whether a mapping has a flag: "lo" is locked, "dd" is left out of core dumps.
func (m mapping) is(flag string) bool {
	for _, f := range m.flags {
		if f == flag {
			return true
		}
	}
	return false
}

// mappings returns all that a process can read of its memory, but for files of disks that it
// has mapped.
func mappings(t *testing.T, pid int) (all []mapping) {
	t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(smaps)) {
		var m mapping
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &m.from, &m.to, &rights); n == 3 {
			if fields := strings.Fields(line); len(fields) > 5 {
				m.name = fields[5]
			}
			if rights[0] != 'r' || filepath.Ext(m.name) == ".img" {
				m.to = m.from
			}
			all = append(all, m)
		} else if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			all[len(all)-1].flags = strings.Fields(flags)
		}
	}
	return all
}

// search looks through a process's memory for texts.
func search(t *testing.T, pid int, texts map[string][]byte) map[string][]find {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	found := map[string][]find{}
	for _, m := range mappings(t, pid) {
		content := make([]byte, m.to-m.from)
		n, _ := memory.ReadAt(content, m.from) // the kernel's own pages cannot be read
		for what, text := range texts {
			for at := 0; ; at++ {
				next := bytes.Index(content[at:n], text)
				if next < 0 {
					break
				}
				at += next
				found[what] = append(found[what], find{m.from + int64(at), m})
			}
		}
	}
	return found
}
