package mkfs

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stagingPattern is the name of staging directories in use, and of those that were
// left by a process that was killed.
const stagingPattern = "sealpart-*.tree"

// stagingDirectory makes an empty directory below parent, and removes those that
// nobody uses any more: who uses one holds its lock. It gets its name when it is
// locked, so that nobody takes it for one of those.
func stagingDirectory(parent string) (dir string, remove func(), err error) {
	removeAbandoned(parent)
	made, err := os.MkdirTemp(parent, "sealpart-*.new")
	if err != nil {
		return "", nil, err
	}
	lock, err := lockDirectory(made)
	if err != nil {
		return "", nil, err
	}
	dir = made[:len(made)-len("new")] + "tree"
	if err := os.Rename(made, dir); err != nil {
		_ = lock.Close()
		removeTree(made)
		return "", nil, err
	}
	return dir, func() {
		removeTree(dir)
		_ = lock.Close()
	}, nil
}

// removeAbandoned removes the staging directories that no process holds. Only our own:
// nobody else can put a link in there while we walk.
func removeAbandoned(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, stagingPattern)) // the pattern is a good one
	for _, dir := range found {
		lock, err := lockDirectory(dir)
		if err != nil {
			continue
		}
		if ours(lock) {
			removeTree(dir)
		}
		_ = lock.Close()
	}
}

// ours reports whether a directory belongs to us, and nobody else may write to it.
func ours(dir *os.File) bool {
	var stat unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &stat)
	return err == nil && stat.Uid == uint32(os.Geteuid()) && stat.Mode&0o077 == 0
}

// lockDirectory takes the lock of a directory, which goes with the process. It fails
// where another has it.
func lockDirectory(dir string) (*os.File, error) {
	file, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// removeTree removes a staging directory, whose directories may be read-only by now.
func removeTree(dir string) {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
