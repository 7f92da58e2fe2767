package keymodule

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/executor"
)

// Directories is where modules lie that no definition names, by priority.
var Directories = []string{"/etc/sealpart/modules", "/usr/local/lib/sealpart/modules", "/usr/lib/sealpart/modules"}

// validName tells whether a name is a program's without folders: it comes from a header.
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

// checkProgram refuses a program that somebody else could have put there: it gets the
// secret of the volume.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return executor.Absent(err)
	case err != nil:
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is no program that can be run", path)
	case !ok || stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to neither root nor the caller; it would learn the key", path)
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("%s (%s) can be changed by others; chmod go-w it", path, info.Mode())
	}
	return nil
}

// There tells whether the program of a key is installed.
func (Sealer) There(key definitions.Key) bool {
	_, err := os.Stat(key.Program)
	return !errors.Is(err, os.ErrNotExist)
}
