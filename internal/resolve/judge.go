package resolve

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// UntrustedError says that others could change what a path leads to.
type UntrustedError struct {
	Path  string // what was to be opened
	At    string // the component of it that others can change
	Owner uint32 // uid of the component's owner
	Mode  fs.FileMode
	Theft bool // it is others' own, and not only open for them to write to
}

// Error names the component, its owner and its mode.
func (e *UntrustedError) Error() string {
	if e.Theft {
		return fmt.Sprintf("%s is not trusted: %s (%s) belongs to the user %d, neither root nor who runs this", e.Path, e.At, e.Mode, e.Owner)
	}
	return fmt.Sprintf("%s is not trusted: %s (%s) can be changed by others than the user %d", e.Path, e.At, e.Mode, e.Owner)
}

// Hint says how to make it trusted.
func (e *UntrustedError) Hint() string {
	if e.Mode&fs.ModeSymlink != 0 {
		return fmt.Sprintf("name what it is to lead to, and not %s", e.At)
	}
	if e.Theft {
		return fmt.Sprintf("if nobody else has put it there: chown root %s; or use a folder that only root can write to", e.At)
	}
	return fmt.Sprintf("if nobody else has changed it: chmod go-w %s", e.At)
}

// judge decides whom the components of one path may belong to.
type judge struct {
	path   string
	owners []uint32
	links  bool // only links are looked at
}

// newJudge trusts root and the running user; the one who called sudo, who could do
// without us what root can; and whoever owns "/", as they can put anything at any path.
// In a user namespace that is how all files of the real root look (user_namespaces(7)).
func newJudge(path string, top int) *judge {
	own := uint32(os.Geteuid())
	j := &judge{path: path, owners: []uint32{0, own}}
	var stat unix.Stat_t
	if unix.Fstat(top, &stat) == nil {
		j.owners = append(j.owners, stat.Uid)
	}
	if caller, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32); err == nil && own == 0 {
		j.owners = append(j.owners, uint32(caller))
	}
	return j
}

// look refuses a component that others could have made, or could change.
func (j *judge) look(fd int, shown string) error {
	if j == nil {
		return nil
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if j.links && stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return nil
	}
	theft := !slices.Contains(j.owners, stat.Uid)
	if !theft && !othersWrite(fd, &stat) {
		return nil
	}
	return &UntrustedError{Path: j.path, At: shown, Owner: stat.Uid, Mode: mode(stat.Mode), Theft: theft}
}

// lookAtFolder is look where fd is a directory.
func (j *judge) lookAtFolder(fd int, shown string) error {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return j.look(fd, shown)
}

// othersWrite reports whether others than the owner can change a component. The mode of a
// link says nothing; that of a device or socket is about what is behind it.
func othersWrite(fd int, stat *unix.Stat_t) bool {
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFIFO:
	case unix.S_IFDIR:
		if stat.Mode&unix.S_ISVTX != 0 {
			return false
		}
	default:
		return false
	}
	switch {
	case stat.Mode&unix.S_IWOTH != 0:
		return true
	case stat.Mode&unix.S_IWGRP != 0:
		return stat.Uid == 0 || stat.Gid != stat.Uid || hasAccessList(fd)
	}
	return false
}

// hasAccessList reports whether a list says who may write: the bits of the group are then
// its mask (acl(5)). A list that cannot be read may be there.
func hasAccessList(fd int) bool {
	_, err := unix.Getxattr(fmt.Sprintf("/proc/self/fd/%d", fd), "system.posix_acl_access", nil)
	return err != unix.ENODATA && err != unix.ENOTSUP
}

// mode turns the bits of stat(2) that are shown into Go's.
func mode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	switch bits & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	if bits&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}
