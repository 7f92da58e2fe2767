// Package wholefile makes files that are there whole or not at all. A file is
// written without a place under its name, made durable, and only then given the name:
// a power cut or a kill at any instant leaves what was at the name before, or all of
// the new file, and beside it at most a hidden file that nothing refers to.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Create makes the file at path, which must not be there: the error is fs.ErrExist
// then. Fill writes its content; what fill returns is returned. Its mode is as given,
// whatever the umask.
func Create(path string, mode fs.FileMode, fill func(*os.File) error) error {
	return write(path, mode, fill, unix.RENAME_NOREPLACE)
}

// Replace makes the file at path, in the place of one that may be there.
func Replace(path string, mode fs.FileMode, fill func(*os.File) error) error {
	return write(path, mode, fill, 0)
}

// write makes the file under another name and gives it the right one.
func write(path string, mode fs.FileMode, fill func(*os.File) error, flags uint) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".sealpart-*") // mode 0600 while it is filled
	if err != nil {
		return err
	}
	named := false
	defer func() {
		if !named {
			_ = os.Remove(file.Name())
		}
	}()
	if err := finish(file, mode, fill); err != nil {
		return err
	}
	if err := rename(file.Name(), path, flags); err != nil {
		return err
	}
	named = true
	return syncDirectory(dir)
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

// rename gives the file its name (rename(2)).
func rename(from, to string, flags uint) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags); err != nil {
		return &os.PathError{Op: "create", Path: to, Err: err}
	}
	return nil
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
