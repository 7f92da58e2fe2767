package luks2

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MemoryError says that a key derivation wants more memory than this process can have. It
// was not begun.
type MemoryError struct {
	Type         string
	Wants, There int64  // bytes
	Limit        string // what says how much is there
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%s wants %d KiB of memory, and there are %d (%s)", e.Type, e.Wants>>10, e.There>>10, e.Limit)
}

// Hint says what to do next.
func (e *MemoryError) Hint() string {
	return "open the volume by another key, or free memory or raise the limit; a keyslot made on a larger machine opens on one"
}

// reserve is what is left to the rest of the program and the machine, in bytes.
const reserve = 16 << 20

// checkRoom refuses a derivation for which there is no memory.
func checkRoom(kind string, bytes int64) error {
	there, limit := memoryRoom(os.DirFS("/"), rlimits())
	if bytes+reserve > there {
		return &MemoryError{Type: kind, Wants: bytes, There: max(there-reserve, 0), Limit: limit}
	}
	return nil
}

// rlimit is a limit of the process and the line of /proc/self/status that counts for it.
type rlimit struct {
	name, line string
	bytes      uint64
}

func rlimits() (limits []rlimit) {
	for _, l := range []struct {
		name, line string
		which      int
	}{{"RLIMIT_AS", "VmSize:", unix.RLIMIT_AS}, {"RLIMIT_DATA", "VmData:", unix.RLIMIT_DATA}} {
		var r unix.Rlimit
		if unix.Getrlimit(l.which, &r) == nil && r.Cur != unix.RLIM_INFINITY {
			limits = append(limits, rlimit{l.name, l.line, r.Cur})
		}
	}
	return limits
}

// memoryRoom returns how many bytes this process can still have, and what says so. What
// cannot be read limits nothing.
func memoryRoom(root fs.FS, limits []rlimit) (room int64, limit string) {
	room, limit = math.MaxInt64, "no limit"
	narrow := func(bytes int64, by string) {
		if bytes < room {
			room, limit = max(bytes, 0), by
		}
	}
	if n, ok := kibibytes(root, "proc/meminfo", "MemAvailable:"); ok {
		narrow(n, "MemAvailable")
	}
	for _, l := range limits {
		if used, ok := kibibytes(root, "proc/self/status", l.line); ok {
			narrow(int64(min(l.bytes, math.MaxInt64))-used, l.name)
		}
	}
	for _, group := range controlGroups(root) {
		if n, ok := group.room(root); ok {
			narrow(n, "memory limit of the control group "+group.name)
		}
	}
	return room, limit
}

// kibibytes returns what a line of a file such as /proc/meminfo says, in bytes.
func kibibytes(root fs.FS, file, line string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	for l := range strings.Lines(string(text)) {
		if words := strings.Fields(l); len(words) > 1 && words[0] == line {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// controlGroup is one that limits memory: its folder, and how its version calls things.
type controlGroup struct {
	folder, name           string
	limits                 []string
	used, reclaimablePages string
}

// controlGroups returns the control groups of this process with all above them: the limit
// of each holds.
func controlGroups(root fs.FS) (groups []controlGroup) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		g := controlGroup{folder: "sys/fs/cgroup", limits: []string{"memory.max", "memory.high"}, used: "memory.current", reclaimablePages: "inactive_file"}
		if parts[1] != "" {
			g = controlGroup{folder: "sys/fs/cgroup/memory", limits: []string{"memory.limit_in_bytes"}, used: "memory.usage_in_bytes", reclaimablePages: "total_inactive_file"}
		}
		if parts[1] != "" && !strings.Contains(","+parts[1]+",", ",memory,") {
			continue
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			one := g
			one.folder, one.name = path.Join(g.folder, at), at
			groups = append(groups, one)
			if at == "/" {
				break
			}
		}
	}
	return groups
}

// room returns how many bytes may still be taken in the group. Pages of files that it can
// drop count as free.
func (g controlGroup) room(root fs.FS) (room int64, limited bool) {
	room = math.MaxInt64
	for _, name := range g.limits {
		if n, ok := number(root, path.Join(g.folder, name)); ok {
			room, limited = min(room, n), true
		}
	}
	used, ok := number(root, path.Join(g.folder, g.used))
	if !limited || !ok {
		return 0, false
	}
	stat, _ := fs.ReadFile(root, path.Join(g.folder, "memory.stat"))
	for l := range strings.Lines(string(stat)) {
		if words := strings.Fields(l); len(words) == 2 && words[0] == g.reclaimablePages {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			used -= n
		}
	}
	return room - used, true
}

// number reads a file with one number; "max" is none.
func number(root fs.FS, file string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
