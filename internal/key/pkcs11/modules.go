package pkcs11

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/internal/resolve"
)

// configDirs are where p11-kit reads which modules there are, as in pkcs11.conf(5): a
// file in the second replaces one of the same name in the first.
var configDirs = []string{"/usr/share/p11-kit/modules", "/etc/pkcs11/modules"}

// maxConfig bounds what is read of one of these files.
const maxConfig = 64 << 10

// findModules returns the files of the module that a definition names, by path or by
// its name in p11-kit's configuration; of all that are configured where it names none.
func findModules(dirs []string, named string) ([]string, error) {
	if filepath.IsAbs(named) {
		return []string{named}, nil
	}
	configured, err := readConfig(dirs)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range slices.Sorted(keysOf(configured)) {
		if file := configured[name]; file != "" && (named == "" || named == name) {
			files = append(files, file)
		}
	}
	return files, nil
}

// keysOf iterates over the names of modules.
func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

// readConfig returns the file of each configured module by its name.
func readConfig(dirs []string) (map[string]string, error) {
	found := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.module"))
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			file, err := resolve.Trusted(path, os.O_RDONLY)
			if err != nil {
				return nil, err
			}
			module, err := parseConfig(io.LimitReader(file, maxConfig))
			_ = file.Close()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			found[strings.TrimSuffix(filepath.Base(path), ".module")] = locate(module)
		}
	}
	return found, nil
}

// parseConfig returns the module that a configuration file names, "" for one that
// holds no keys of ours: p11-kit's list of trusted certificates.
func parseConfig(r io.Reader) (module string, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "module":
			module = value
		case "trust-policy":
			if value == "yes" {
				return "", nil
			}
		}
	}
	return module, lines.Err()
}

// locate returns the path of a module that p11-kit finds in its own directory, "" where
// it is not there.
func locate(module string) string {
	if module == "" || filepath.IsAbs(module) {
		return module
	}
	for _, pattern := range []string{"/usr/lib/*/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/pkcs11"} {
		if found, _ := filepath.Glob(filepath.Join(pattern, module)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
