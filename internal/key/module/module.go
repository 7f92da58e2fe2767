package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/key"
	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// Directories is where modules lie that no definition names, by priority.
var Directories = []string{"/etc/sealpart/modules", "/usr/local/lib/sealpart/modules", "/usr/lib/sealpart/modules"}

// validName reports whether a name is a program's without folders: it comes from a header.
func validName(name string) bool {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	return name != "" && len(name) <= 64 && name[0] != '.' && !strings.ContainsFunc(name, odd)
}

// find returns the path of the module name in the folders for modules.
func find(dirs []string, name string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("the key module %q is not installed (looked in %s) and no definition names it", name, strings.Join(dirs, ", "))
}

// program is one that can be run: its name in an open directory.
type program struct {
	dir  *os.File
	name string
}

// openProgram finds a program, and none that somebody else could have put there: it gets
// the secret of the volume. It is run from the directory that was looked at.
func openProgram(path string) (program, error) {
	dir, name, err := resolve.Tree{Trusted: true}.Locate(path)
	if errors.Is(err, os.ErrNotExist) {
		return program{}, key.Absent(err)
	}
	if err != nil {
		return program{}, err
	}
	var stat unix.Stat_t
	if err = unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = checkMode(path, stat.Mode)
	}
	if err != nil {
		_ = dir.Close()
		return program{}, err
	}
	return program{dir, name}, nil
}

// checkMode refuses what is no program, or not its owner's alone to change, be it by a
// group of theirs.
func checkMode(path string, mode uint32) error {
	switch {
	case mode&unix.S_IFMT != unix.S_IFREG || mode&0o111 == 0:
		return fmt.Errorf("%s is no program that can be run", path)
	case mode&0o022 != 0:
		return fmt.Errorf("%s (%#o) can be changed by others; chmod go-w it", path, mode&0o7777)
	}
	return nil
}

// given is the path of the program for the process that becomes it, where the directory
// is the first of its extra files: a script finds there what lies beside it.
func (p program) given() string { return "/proc/self/fd/3/" + p.name }

// There reports whether the program of a key is installed.
func (Sealer) There(_ context.Context, key definitions.Key) bool {
	_, err := os.Stat(key.Program)
	return !errors.Is(err, os.ErrNotExist)
}
