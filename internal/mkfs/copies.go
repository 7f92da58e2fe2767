package mkfs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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
// The source itself may be a link; links below it are not followed.
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
		return visit(entry{source: name, target: path.Join(c.Target, below), info: info})
	})
}
