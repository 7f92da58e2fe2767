package mkfs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// entry is one file, directory or link to be copied.
type entry struct {
	source string // path on this machine
	target string // clean absolute path in the new file system
	info   fs.FileInfo
}

// checkCopies refuses sources that are not there and targets that are not absolute,
// before anything is written.
func checkCopies(copies []Copy) error {
	for _, c := range copies {
		if _, err := os.Stat(c.Source); err != nil {
			return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
		if !path.IsAbs(c.Target) {
			return fmt.Errorf("copy %s to %s: the target is not an absolute path", c.Source, c.Target)
		}
	}
	return nil
}

// walk calls visit for c's source and all below it, parents first, then by name.
// The source itself may be a link; links below it are not followed. It does not look
// into what is to be left empty.
func (c Copy) walk(visit func(entry) error) error {
	source, err := filepath.EvalSymlinks(c.Source)
	if err != nil {
		return err
	}
	return filepath.WalkDir(source, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, name)
		if err != nil {
			return err
		}
		err = visit(entry{source: name, target: path.Join(c.Target, below), info: info})
		if err == nil && d.IsDir() && slices.Contains(c.LeaveEmpty, below) {
			return fs.SkipDir
		}
		return err
	})
}

// whole tells whether walk leaves out nothing of c.
func (c Copy) whole() bool {
	return !slices.ContainsFunc(c.LeaveEmpty, func(below string) bool {
		dir := filepath.Join(c.Source, below)
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			return false // nothing to look into; walk finds out what is wrong with it
		}
		entries, err := os.ReadDir(dir)
		return err != nil || len(entries) > 0
	})
}
