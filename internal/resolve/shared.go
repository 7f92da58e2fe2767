package resolve

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Temp returns the absolute path of the directory for temporary files: dir, or else that of
// the system. Others must not be able to change it: in their own folder they could put
// something else in the place of what we make there. A sticky one is right.
func Temp(dir string) (string, error) {
	dir, err := filepath.Abs(cmp.Or(dir, os.TempDir()))
	if err != nil {
		return "", err
	}
	file, err := Trusted(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", fmt.Errorf("directory for temporary files: %w", err)
	}
	return dir, file.Close()
}

// Sources is the tree that the content of new partitions is taken from: a tree of that root,
// or all of this machine, in which others' links do not lead us to what only we can read.
func Sources(root string) Tree { return Tree{Root: root, NoForeignLinks: root == ""} }

// Shared reports whether others than root and who runs this could make, rename or remove
// something in an open directory, be it their own only, as in a sticky one.
func Shared(dir *os.File) bool {
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return true
	}
	top, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer func() { _ = unix.Close(top) }()
	if !slices.Contains(newJudge("", top).owners, stat.Uid) {
		return true
	}
	stat.Mode &^= unix.S_ISVTX
	return othersWrite(int(dir.Fd()), &stat)
}

// Closed reports whether an open directory lies in one, or is one, that none but its owner,
// root or who runs this, can enter: what is below is out of others' reach.
func Closed(dir *os.File) bool {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil || !filepath.IsAbs(path) {
		return false
	}
	for ; ; path = filepath.Dir(path) {
		above, err := Trusted(path, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return false
		}
		info, err := above.Stat()
		_ = above.Close()
		if err != nil || info.Mode()&0o011 == 0 {
			return err == nil
		}
		if path == "/" {
			return false
		}
	}
}
