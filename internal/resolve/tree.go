package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Tree is where paths begin, and what links do not lead out of.
type Tree struct {
	// Root is its path on this machine; "" is this machine's own tree, in which a
	// relative path begins at the working directory.
	Root string
	// Trusted refuses what others can change: the error is an *UntrustedError.
	Trusted bool
	// NoForeignLinks refuses links that others have made, and nothing else. It is for what may
	// lie in other people's folders: there they can put a disk of their own in its place, which
	// is not believed anyhow, but not lead us to one of ours.
	NoForeignLinks bool
}

// Trusted opens the file at a path of this machine that others cannot change.
func Trusted(path string, flags int) (*os.File, error) { return Tree{Trusted: true}.Open(path, flags) }

// Open opens the file at path, with flags of open(2) beside O_CLOEXEC; it makes none. With
// O_NOFOLLOW a link at the end of path is an error (ELOOP). The file has the name path.
//
// It never waits: a FIFO, whose other end may never come, is refused with ErrFIFO. Only with
// O_NONBLOCK it is opened; who reads it sees to it that this ends. A pipe that this process
// was given is open at both ends.
func (t Tree) Open(path string, flags int) (*os.File, error) {
	at, err := t.find("open", path, flags&unix.O_NOFOLLOW == 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(at) }()
	if flags&unix.O_NOFOLLOW != 0 && hasType(at, unix.S_IFLNK) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
	}
	if flags&(unix.O_NONBLOCK|unix.O_PATH) == 0 && hasType(at, unix.S_IFIFO) && !isPipe(at) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrFIFO}
	}
	return reopen(at, path, flags)
}

// ErrFIFO says that a FIFO is where a file is wanted.
var ErrFIFO = errors.New("it is a FIFO, and not a file")

// isPipe reports whether a FIFO has no name: it is one of pipe(2).
func isPipe(fd int) bool {
	var stat unix.Statfs_t
	return unix.Fstatfs(fd, &stat) == nil && stat.Type == unix.PIPEFS_MAGIC
}

// hasType reports whether what an open descriptor (O_PATH) stands for is of a type, such as
// S_IFLNK: a symbolic link itself.
func hasType(fd int, kind uint32) bool {
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == kind
}

// reopen opens what a descriptor stands for, be its name still there or not.
func reopen(at int, path string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", at), flags&^unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

// Parent opens the directory that a new file at path goes into, and returns it with the
// file's name.
func (t Tree) Parent(path string) (*os.File, string, error) {
	name := filepath.Base(path)
	if name == "." || name == ".." || name == "/" {
		return nil, "", &fs.PathError{Op: "create", Path: path, Err: unix.EISDIR}
	}
	dir, err := t.Open(filepath.Dir(path), os.O_RDONLY|unix.O_DIRECTORY)
	return dir, name, err
}

// Remove removes the file at path.
func (t Tree) Remove(path string) error {
	dir, name, err := t.Parent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// Locate returns the directory in which that lies which path leads to, behind links, and
// its name there. The directory serves for names in it only (O_PATH). For programs and
// libraries, which find by it what lies beside them.
func (t Tree) Locate(path string) (*os.File, string, error) {
	w := &walk{tree: t, path: path, op: "stat"}
	defer w.close()
	fd, err := w.find(true)
	if err != nil {
		return nil, "", w.named(err)
	}
	_ = unix.Close(fd)
	if w.last == "" || w.inProcess() {
		return nil, "", w.named(unix.EISDIR)
	}
	dir, err := unix.FcntlInt(uintptr(w.here().fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, "", w.named(err)
	}
	return os.NewFile(uintptr(dir), w.here().shown), w.last, nil
}

// Stat says what is at path, behind links.
func (t Tree) Stat(path string) (fs.FileInfo, error) { return t.stat("stat", path, true) }

// Lstat says what is at path, be it a link.
func (t Tree) Lstat(path string) (fs.FileInfo, error) { return t.stat("lstat", path, false) }

func (t Tree) stat(op, path string, follow bool) (fs.FileInfo, error) {
	at, err := t.find(op, path, follow)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(at), path)
	defer file.Close()
	return file.Stat()
}

// ReadLink returns what the link at path says.
func (t Tree) ReadLink(path string) (string, error) {
	at, err := t.find("readlink", path, false)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(at) }()
	target, err := readLink(at)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return target, nil
}
