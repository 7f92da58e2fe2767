package mkfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// entry is one file, directory or link to be copied.
type entry struct {
	in     *os.Root // what it is read from: whoever changes the tree meanwhile does not lead us out of it
	name   string   // in that
	at     string   // its path in the tree it comes from
	source string   // as errors show it
	target string   // clean absolute path in the new file system
	info   fs.FileInfo
}

// openFile opens the regular file that e is. What it has become since it was seen may be a
// pipe, which would be waited for, or another file of its tree, and none outside.
func (e entry) openFile() (*os.File, error) {
	file, err := e.in.OpenFile(e.name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s has changed while it was copied", e.source), err, file.Close())
	}
	return file, nil
}

// checkCopies refuses sources that are not there and targets that are not absolute,
// before anything is written.
func checkCopies(copies []Copy) error {
	for _, c := range copies {
		if _, err := c.tree().Stat(c.Source); err != nil {
			return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
		if !path.IsAbs(c.Target) {
			return fmt.Errorf("copy %s to %s: the target is not an absolute path", c.Source, c.Target)
		}
	}
	return nil
}

// tree is where the source is, and what its links do not lead out of. Where that is all of
// this machine, others' links would lead to what only we can read.
func (c Copy) tree() resolve.Tree { return resolve.Sources(c.Root) }

// openDirectory opens the directory that the source is, with the name ".", or the one that
// the file lies in, with that of the file. The source itself may be a link.
func (c Copy) openDirectory() (dir *os.File, name string, err error) {
	info, err := c.tree().Stat(c.Source)
	if err != nil {
		return nil, "", err
	}
	if info.IsDir() {
		dir, err = c.tree().Open(c.Source, unix.O_PATH|unix.O_DIRECTORY)
		return dir, ".", err
	}
	return c.tree().Locate(c.Source)
}

// open is openDirectory for what does not lead out of the directory.
func (c Copy) open() (in *os.Root, name string, err error) {
	dir, name, err := c.openDirectory()
	if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	in, err = os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	return in, name, err
}

// walk calls visit for c's source and all below it, parents first, then by name. Links
// below the source are not followed. It does not look into what is to be left empty.
func (c Copy) walk(visit func(entry) error) error {
	in, start, err := c.open()
	if err != nil {
		return err
	}
	defer in.Close()
	return fs.WalkDir(in.FS(), start, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := in.Lstat(name)
		if err != nil {
			return err
		}
		below := name
		if start != "." {
			below = "."
		}
		at := path.Join(c.Source, below)
		err = visit(entry{in: in, name: name, at: at, source: path.Join(c.Root, at), target: path.Join(c.Target, below), info: info})
		if err == nil && d.IsDir() && slices.Contains(c.LeaveEmpty, below) {
			return fs.SkipDir
		}
		return err
	})
}

// exposed reports whether others could change which files a path below the source leads to
// while they are copied. Programs, which go by paths, then must not have it. What is closed
// to all but us is not exposed, whatever its directories allow.
func (c Copy) exposed() bool {
	dir, name, err := c.openDirectory()
	if err != nil {
		return true // which the copying says better
	}
	defer dir.Close()
	if resolve.Closed(dir) {
		return false
	}
	if _, err := (resolve.Tree{Root: c.Root, Trusted: true}).Stat(c.Source); err != nil || name != "." && resolve.Shared(dir) {
		return true
	}
	if name != "." {
		return false
	}
	in, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return true
	}
	defer in.Close()
	return fs.WalkDir(in.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		dir, err := in.Open(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		if resolve.Shared(dir) {
			return errShared
		}
		return nil
	}) != nil
}

// errShared ends a walk at a directory that others can change.
var errShared = errors.New("others can change this directory")

// whole reports whether walk leaves out nothing of c.
func (c Copy) whole() bool {
	if len(c.LeaveEmpty) == 0 {
		return true
	}
	in, _, err := c.open()
	if err != nil {
		return false
	}
	defer in.Close()
	return !slices.ContainsFunc(c.LeaveEmpty, func(below string) bool {
		info, err := in.Lstat(below)
		if err != nil || !info.IsDir() {
			return false // nothing to look into; walk finds out what is wrong with it
		}
		entries, err := fs.ReadDir(in.FS(), below)
		return err != nil || len(entries) > 0
	})
}
