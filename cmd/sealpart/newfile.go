package main

import (
	"io/fs"
	"os"

	"github.com/sealpart/sealpart/internal/resolve"
	"golang.org/x/sys/unix"
)

// newFile is a file that was not there before, in an open directory.
type newFile struct {
	*os.File
	dir  *os.File
	name string
}

// createFile makes the file at path, in a directory that others cannot change: they would
// else choose what lies there when it is opened again, or taken away. It fails with
// fs.ErrExist where something is there, be it a link. The umask counts.
func createFile(path string, mode fs.FileMode) (*newFile, error) {
	dir, name, err := resolve.Tree{Trusted: true}.Parent(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		_ = dir.Close()
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return &newFile{os.NewFile(uintptr(fd), path), dir, name}, nil
}

// remove takes the name away again. The file may be closed.
func (f *newFile) remove() error {
	if err := unix.Unlinkat(int(f.dir.Fd()), f.name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: f.Name(), Err: err}
	}
	return nil
}
