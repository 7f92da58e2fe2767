//go:build cgo

package pkcs11

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/sealpart/sealpart/internal/resolve"
)

// held are the directories that modules were loaded from. They stay open: a loader knows a
// library by its path, and many are never unloaded, so that another directory under the
// same number would give the library of the first.
var held struct {
	sync.Mutex
	dirs []*os.File
}

// load loads the module at path, nil where that is none. It runs in this process, so nobody
// else may have put it there; it is loaded from the directory that was looked at, where it finds
// what lies beside it.
func load(path string) (*module, error) {
	dir, name, err := resolve.Tree{Trusted: true}.Locate(path)
	if err != nil {
		return nil, err
	}
	if dir, err = hold(dir); err != nil {
		return nil, err
	}
	return newModule(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)), nil
}

// hold returns the one open file that stands for a directory.
func hold(dir *os.File) (*os.File, error) {
	held.Lock()
	defer held.Unlock()
	info, err := dir.Stat()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(held.dirs, func(other *os.File) bool {
		known, err := other.Stat()
		return err == nil && os.SameFile(info, known)
	})
	if i >= 0 {
		_ = dir.Close()
		return held.dirs[i], nil
	}
	held.dirs = append(held.dirs, dir)
	return dir, nil
}
