package definitions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Source is one directory of definitions.
type Source struct {
	FS  fs.FS  // the directory itself is its root
	Dir string // the directory's path as messages show it, "/etc/sealpart.d"
}

// found is a file that definitions are read from.
type found struct {
	Source
	name string // in the source, "20-root.toml" or "20-root.toml.d/10-size.toml"
}

// path is the file's path as messages show it.
func (f found) path() string { return path.Join(f.Dir, f.name) }

// errorf is an error about the file as a whole.
func (f found) errorf(format string, args ...any) *Error {
	return &Error{File: f.path(), Message: fmt.Sprintf(format, args...)}
}

// failed is an error that the file could not be looked at, with what err says to do.
func (f found) failed(what string, err error) *Error {
	e := f.errorf("%s: %v", what, reason(err))
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) {
		e.Hint = hinter.Hint()
	}
	return e
}

// findFiles lists the *.toml files below dir ("." or a drop-in directory) of all
// sources by name: the file of the highest source counts, and where that one is a
// mask there is none. A directory that does not exist holds no files.
func findFiles(sources []Source, dir string) ([]found, []error) {
	var errs []error
	byName := map[string]found{}
	for _, s := range sources {
		names, err := listNames(s, dir)
		if err != nil {
			errs = append(errs, err)
		}
		for _, name := range names {
			if _, replaced := byName[name]; !replaced {
				byName[name] = found{s, path.Join(dir, name)}
			}
		}
	}
	var files []found
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		switch masked, err := isMask(byName[name]); {
		case err != nil:
			errs = append(errs, err)
		case !masked:
			files = append(files, byName[name])
		}
	}
	return files, errs
}

// listNames lists the *.toml entries of a directory, without hidden ones, which
// are editors' and package managers'.
func listNames(s Source, dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.FS, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, found{s, dir}.failed("cannot list the directory", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// isMask reports whether a file masks those of its name below it: a link to
// /dev/null, or an empty file. Devices are not read: a read might never end.
func isMask(f found) (bool, error) {
	if linksToNull(f) {
		return true, nil
	}
	info, err := fs.Stat(f.FS, f.name)
	switch {
	case err != nil:
		return false, f.failed("cannot be read", err)
	case !info.Mode().IsRegular():
		return false, f.errorf("not a regular file")
	}
	return info.Size() == 0, nil
}

// linksToNull follows symbolic links by name: /dev/null itself need not be there
// in a root file system that is only looked into.
func linksToNull(f found) bool {
	name := f.name
	for range 40 { // as many links as the kernel follows
		target, err := fs.ReadLink(f.FS, name)
		switch {
		case err != nil:
			return false
		case path.Clean(target) == "/dev/null":
			return true
		case path.IsAbs(target):
			return false
		}
		name = path.Join(path.Dir(name), target)
	}
	return false
}

// readFile reads a file of at most maxFile bytes.
func readFile(f found) (string, error) {
	opened, err := f.FS.Open(f.name)
	if err != nil {
		return "", f.failed("cannot be read", err)
	}
	defer opened.Close() // nothing was written
	text, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	switch {
	case err != nil:
		return "", f.failed("cannot be read", err)
	case len(text) > maxFile:
		return "", f.errorf("larger than %d bytes: this is no definition", maxFile)
	}
	return string(text), nil
}

// reason is err without the path, which the message has already.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
