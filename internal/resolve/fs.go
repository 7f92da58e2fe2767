package resolve

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// FS returns the directory at a path of the tree. Links in it are resolved in the tree,
// and may lead out of the directory.
func (t Tree) FS(dir string) fs.FS { return directory{t, dir} }

// directory is a directory of a tree as an fs.FS. Nothing is kept open: each name is
// resolved, and looked at, from the top.
type directory struct {
	tree Tree
	dir  string
}

func (d directory) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return d.tree.Open(d.path(name), os.O_RDONLY|unix.O_NONBLOCK) // to open a pipe would wait
}

// Stat is that of fs.StatFS; what is no regular file is not opened for it.
func (d directory) Stat(name string) (fs.FileInfo, error) { return d.tree.Stat(d.path(name)) }

// Lstat is that of fs.ReadLinkFS.
func (d directory) Lstat(name string) (fs.FileInfo, error) { return d.tree.Lstat(d.path(name)) }

// ReadLink is that of fs.ReadLinkFS.
func (d directory) ReadLink(name string) (string, error) { return d.tree.ReadLink(d.path(name)) }

func (d directory) path(name string) string { return d.dir + "/" + name }
