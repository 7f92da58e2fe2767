package resolve

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links one path may lead through, the kernel's limit.
const maxLinks = 40

// walk is the way down one path.
type walk struct {
	tree  Tree
	path  string // the whole, for errors
	op    string // what is done, for errors
	judge *judge // nil where everybody is trusted
	dirs  []step // from the root of the tree to where we are
	links int
	// walled is set once we are in a tree that is not this machine's own.
	walled bool
	last   string // name of what was found, in the directory where we are
}

// step is an open directory (O_PATH), and its name as errors show it.
type step struct {
	fd    int
	shown string
}

// find returns a descriptor (O_PATH) of what is at path, which is the caller's to close;
// where follow is not set that may be a link.
func (t Tree) find(op, path string, follow bool) (int, error) {
	w := &walk{tree: t, path: path, op: op}
	defer w.close()
	fd, err := w.find(follow)
	return fd, w.named(err)
}

// named makes an error one about the path.
func (w *walk) named(err error) error {
	var told *UntrustedError
	if err == nil || errors.As(err, &told) {
		return err
	}
	return &fs.PathError{Op: w.op, Path: w.path, Err: err}
}

func (w *walk) find(follow bool) (int, error) {
	if strings.ContainsRune(w.path, 0) || w.path == "" {
		return -1, unix.ENOENT
	}
	if err := w.begin(); err != nil {
		return -1, err
	}
	path := w.path
	if w.tree.Root == "" && !filepath.IsAbs(path) {
		working, err := os.Getwd()
		if err != nil {
			return -1, err
		}
		path = working + "/" + path
	}
	return w.down(strings.Split(path, "/"), follow)
}

// begin opens the tree's root. All on the way to it is looked at like the rest.
func (w *walk) begin() error {
	top, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.dirs = append(w.dirs, step{top, "/"})
	if w.tree.Trusted || w.tree.NoForeignLinks {
		w.judge = newJudge(w.path, top)
		w.judge.links = !w.tree.Trusted
		if err := w.judge.look(top, "/"); err != nil {
			return err
		}
	}
	if w.tree.Root == "" {
		return nil
	}
	root, err := filepath.Abs(w.tree.Root)
	if err != nil {
		return err
	}
	fd, err := w.down(strings.Split(root, "/"), true)
	if err != nil {
		return err
	}
	w.close()
	w.dirs, w.walled = []step{{fd, root}}, true
	return nil
}

// down goes down components, and returns a descriptor of what the last is.
func (w *walk) down(todo []string, follow bool) (int, error) {
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			w.up()
			continue
		}
		fd, target, err := w.enter(name, follow || len(todo) > 0)
		switch {
		case err != nil:
			return -1, err
		case target != "":
			if filepath.IsAbs(target) {
				w.toRoot()
			}
			todo = append(strings.Split(target, "/"), todo...)
		case len(todo) == 0:
			w.last = name
			return fd, nil
		default:
			w.dirs = append(w.dirs, step{fd, w.shown(name)})
		}
	}
	return unix.FcntlInt(uintptr(w.here().fd), unix.F_DUPFD_CLOEXEC, 3)
}

// enter opens the component name of where we are. Where that is a link to be followed it
// returns what that says instead.
func (w *walk) enter(name string, follow bool) (fd int, target string, err error) {
	fd, err = unix.Openat(w.here().fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	if err = w.judge.look(fd, w.shown(name)); err == nil && !(follow && hasType(fd, unix.S_IFLNK)) {
		return fd, "", nil
	}
	defer func(fd int) { _ = unix.Close(fd) }(fd)
	if err != nil {
		return -1, "", err
	}
	if w.links++; w.links > maxLinks {
		return -1, "", unix.ELOOP
	}
	if w.inProcess() {
		fd, err = w.jump(name)
		return fd, "", err
	}
	if target, err = readLink(fd); err == nil && target == "" {
		err = unix.ENOENT
	}
	return -1, target, err
}

// inProcess reports whether we are in a process's folder of /proc: what it has there as
// links are no paths (proc_pid_fd(5)). The inode 1 is /proc itself.
func (w *walk) inProcess() bool {
	var in unix.Statfs_t
	var stat unix.Stat_t
	return unix.Fstatfs(w.here().fd, &in) == nil && in.Type == unix.PROC_SUPER_MAGIC &&
		unix.Fstat(w.here().fd, &stat) == nil && stat.Ino != 1
}

// jump follows such a link, from the folder of a process that is root's or ours. What the
// process has open was handed to it by who trusts it; a directory is looked at all the same.
func (w *walk) jump(name string) (int, error) {
	if w.walled {
		return -1, unix.ELOOP // it leads out of any tree
	}
	fd, err := unix.Openat(w.here().fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := w.judge.lookAtFolder(fd, w.shown(name)); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// readLink returns what an open link says. It is shorter than a page.
func readLink(fd int) (string, error) {
	target := make([]byte, os.Getpagesize())
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}

func (w *walk) here() step { return w.dirs[len(w.dirs)-1] }

// shown is the path of a component as errors show it, behind links.
func (w *walk) shown(name string) string { return filepath.Join(w.here().shown, name) }

// up goes one directory up, and not above the root of the tree.
func (w *walk) up() {
	if len(w.dirs) > 1 {
		_ = unix.Close(w.here().fd)
		w.dirs = w.dirs[:len(w.dirs)-1]
	}
}

func (w *walk) toRoot() {
	for len(w.dirs) > 1 {
		w.up()
	}
}

func (w *walk) close() {
	for _, d := range w.dirs {
		_ = unix.Close(d.fd)
	}
	w.dirs = nil
}
