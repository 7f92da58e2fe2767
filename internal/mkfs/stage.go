package mkfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// staged is a directory whose content becomes that of a file system.
type staged struct {
	tree   *os.File // nil where there is nothing to copy
	owners []owner
	remove func()
}

// owner is whom a path of the new file system belongs to, where staging without
// root could not say so.
type owner struct {
	path     string
	uid, gid uint32
}

// stage brings all of fs.CopyFiles under one directory. A single source for "/" is
// used where it lies, unless something of it is to be left out or others can change it.
func stage(ctx context.Context, fs Filesystem) (*staged, error) {
	if len(fs.CopyFiles) == 0 {
		return &staged{remove: func() {}}, nil
	}
	if c := fs.CopyFiles[0]; len(fs.CopyFiles) == 1 && path.Clean(c.Target) == "/" && c.whole() && !c.exposed() {
		tree, err := c.tree().Open(c.Source, os.O_RDONLY|syscall.O_NONBLOCK)
		if err != nil {
			return nil, err
		}
		if info, err := tree.Stat(); err != nil || !info.IsDir() {
			return nil, errors.Join(fmt.Errorf("copy %s to /: it is not a directory", c.Source), err, tree.Close())
		}
		return &staged{tree: tree, remove: func() { _ = tree.Close() }}, nil
	}
	dir, remove, err := stagingDirectory(fs.TempDir)
	if err != nil {
		return nil, err
	}
	s := stager{links: map[inode]string{}, late: map[string]late{}, parents: fs.now(), root: uint32(os.Geteuid()) == 0}
	s.staged = staged{remove: remove}
	if err := s.copyAll(ctx, dir, fs.CopyFiles); err != nil {
		s.remove()
		return nil, err
	}
	if s.tree, err = os.Open(dir); err != nil {
		s.remove()
		return nil, err
	}
	s.remove = func() { _ = s.tree.Close(); remove() }
	return &s.staged, nil
}

// stager copies trees into one. All paths go through an os.Root: a link that an
// earlier source brought along must not lead a later one out onto this machine.
type stager struct {
	staged
	dir     *os.Root
	links   map[inode]string // first copy of files with several names
	late    map[string]late  // directories by target
	parents time.Time        // of directories without a source
	root    bool
}

// late is what a directory gets when all is copied: its mode may forbid copying
// into it, and copying changes its time.
type late struct {
	mode fs.FileMode
	time time.Time
}

// inode identifies a file on this machine.
type inode struct{ device, number uint64 }

// copyAll fills dir.
func (s *stager) copyAll(ctx context.Context, dir string, copies []Copy) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	s.dir = root
	for _, c := range copies {
		if err := s.makeParents(path.Clean(c.Target)); err != nil {
			return err
		}
		err := c.walk(func(e entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.copy(e)
		})
		if err != nil {
			return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
		}
	}
	return s.finish()
}

// finish gives the directories their modes and times, those deep down first.
func (s *stager) finish() error {
	for _, target := range slices.Backward(slices.Sorted(maps.Keys(s.late))) {
		l := s.late[target]
		if err := s.dir.Chmod(local(target), l.mode); err != nil {
			return err
		}
		if err := s.dir.Chtimes(local(target), l.time, l.time); err != nil {
			return err
		}
	}
	return nil
}

// local turns a target into a path below the staging directory.
func local(target string) string {
	if target == "/" {
		return "."
	}
	return strings.TrimPrefix(target, "/")
}

// makeParents makes the directories above target that no source has brought.
func (s *stager) makeParents(target string) error {
	for i := 1; i < len(target); i++ {
		if target[i] != '/' {
			continue
		}
		parent := target[:i]
		if err := s.dir.Mkdir(local(parent), 0o755); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		s.late[parent] = late{mode: 0o755, time: s.parents}
		if err := s.own(parent, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// copy copies one entry, without what is below it.
func (s *stager) copy(e entry) error {
	stat, ok := e.info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no owner and inode number known", e.source)
	}
	if e.info.IsDir() {
		return s.copyDirectory(e, stat)
	}
	if err := s.dir.Remove(local(e.target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id := inode{device: uint64(stat.Dev), number: stat.Ino}
	if first, ok := s.links[id]; ok && stat.Nlink > 1 {
		return s.dir.Link(local(first), local(e.target))
	}
	if err := s.copyContent(e); err != nil {
		return err
	}
	s.links[id] = e.target
	// The owner comes first: to change it takes file capabilities and
	// set-user-ID bits away.
	if err := s.own(e.target, stat.Uid, stat.Gid); err != nil {
		return err
	}
	return s.dress(e)
}

// copyDirectory makes the directory that e is, or takes over the one already there.
func (s *stager) copyDirectory(e entry, stat *syscall.Stat_t) error {
	if e.target == "/" {
		return nil // the root belongs to the file system: 0:0, mode 755
	}
	if err := s.dir.Mkdir(local(e.target), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := s.dir.Lstat(local(e.target)); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is a directory, but %s is already there as something else", e.source, e.target)
	}
	if err := s.own(e.target, stat.Uid, stat.Gid); err != nil {
		return err
	}
	s.late[e.target] = late{mode: permissions(e.info.Mode()), time: e.info.ModTime()}
	return s.copyAttributes(e)
}

// copyContent copies a file or symbolic link.
func (s *stager) copyContent(e entry) error {
	switch e.info.Mode().Type() {
	case 0:
		return s.copyFile(e)
	case fs.ModeSymlink:
		to, err := e.in.Readlink(e.name)
		if err != nil {
			return err
		}
		return s.dir.Symlink(to, local(e.target))
	default:
		return s.copySpecial(e)
	}
}

// copySpecial makes a device, a pipe or a socket like e.
func (s *stager) copySpecial(e entry) error {
	stat, ok := e.info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no kind of file known", e.source)
	}
	parent, err := s.dir.Open(local(path.Dir(e.target)))
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := unix.Mknodat(int(parent.Fd()), path.Base(e.target), stat.Mode, int(stat.Rdev)); err != nil {
		return fmt.Errorf("%s is neither file, directory nor symbolic link, and cannot be made here: %w", e.source, err)
	}
	return nil
}

// copyFile copies the bytes of a regular file.
func (s *stager) copyFile(e entry) error {
	from, err := e.openFile()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := s.dir.OpenFile(local(e.target), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
