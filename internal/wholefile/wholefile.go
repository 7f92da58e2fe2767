// Package wholefile makes files that are there whole or not at all. A file is
// written without a place under its name, made durable, and only then given the name:
// a power cut or a kill at any instant leaves what was at the name before, or all of
// the new file, and beside it at most a hidden file that nothing refers to.
package wholefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// Create makes the file at path, which must not be there, be it as a link: the error is
// fs.ErrExist then. Others must not be able to change the directory (resolve.Tree). Fill
// writes its content; what fill returns is returned. Its mode is as given, whatever the umask.
func Create(path string, mode fs.FileMode, fill func(*os.File) error) error {
	return at(path, mode, fill, unix.RENAME_NOREPLACE)
}

// Replace makes the file at path, in the place of one that may be there.
func Replace(path string, mode fs.FileMode, fill func(*os.File) error) error {
	return at(path, mode, fill, 0)
}

// at makes a file in the directory of path.
func at(path string, mode fs.FileMode, fill func(*os.File) error, flags uint) error {
	dir, name, err := resolve.Tree{Trusted: true}.Parent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return write(dir, name, mode, fill, flags)
}

// CreateIn is Create in an open directory.
func CreateIn(dir *os.File, name string, mode fs.FileMode, fill func(*os.File) error) error {
	return write(dir, name, mode, fill, unix.RENAME_NOREPLACE)
}

// ReplaceIn is Replace in an open directory.
func ReplaceIn(dir *os.File, name string, mode fs.FileMode, fill func(*os.File) error) error {
	return write(dir, name, mode, fill, 0)
}

// write makes the file under another name and gives it the right one.
func write(dir *os.File, name string, mode fs.FileMode, fill func(*os.File) error, flags uint) error {
	file, hidden, err := unnamed(dir)
	if err != nil {
		return err
	}
	named := false
	defer func() {
		if !named {
			_ = unix.Unlinkat(int(dir.Fd()), hidden, 0)
		}
	}()
	if err := finish(file, mode, fill); err != nil {
		return err
	}
	if err := unix.Renameat2(int(dir.Fd()), hidden, int(dir.Fd()), name, flags); err != nil {
		return &os.PathError{Op: "create", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	named = true
	return dir.Sync()
}

// unnamed makes a hidden file, of mode 0600 while it is filled.
func unnamed(dir *os.File) (file *os.File, hidden string, err error) {
	hidden = ".sealpart-" + rand.Text()
	path := filepath.Join(dir.Name(), hidden)
	fd, err := unix.Openat(int(dir.Fd()), hidden, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, "", &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), hidden, nil
}

// finish fills the file, makes it durable and closes it.
func finish(file *os.File, mode fs.FileMode, fill func(*os.File) error) error {
	err := fill(file)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
