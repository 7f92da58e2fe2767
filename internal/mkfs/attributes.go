package mkfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// dress gives a copied file its extended attributes, mode and time; a symbolic link
// has only its time.
func (s *stager) dress(e entry) error {
	if e.info.Mode().IsRegular() {
		if err := s.copyAttributes(e); err != nil {
			return err
		}
		if err := s.dir.Chmod(local(e.target), permissions(e.info.Mode())); err != nil {
			return err
		}
	}
	parent, err := s.dir.Open(local(path.Dir(e.target)))
	if err != nil {
		return err
	}
	defer parent.Close()
	modified, err := unix.TimeToTimespec(e.info.ModTime())
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(parent.Fd()), path.Base(e.target), []unix.Timespec{modified, modified}, unix.AT_SYMLINK_NOFOLLOW)
}

// own gives a copy its owner, now or, without root, when the file system is made.
func (s *stager) own(target string, uid, gid uint32) error {
	if s.root {
		return s.dir.Lchown(local(target), int(uid), int(gid))
	}
	if strings.Contains(target, "\n") {
		return fmt.Errorf("%q: without root a name with a line break cannot keep its owner", target)
	}
	s.owners = append(s.owners, owner{path: target, uid: uid, gid: gid})
	return nil
}

// permissions are the mode bits that a copy keeps.
func permissions(mode fs.FileMode) fs.FileMode {
	return mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// copyAttributes copies the extended attributes that this process may write; as
// with cp, those of the kernel's security modules stay behind without root.
func (s *stager) copyAttributes(e entry) error {
	from, err := e.in.Open(e.name)
	if err != nil {
		return err
	}
	defer from.Close()
	names, err := attributeNames(from, e.source)
	if err != nil || len(names) == 0 {
		return err
	}
	to, err := s.dir.Open(local(e.target))
	if err != nil {
		return err
	}
	defer to.Close()
	for _, name := range names {
		value := make([]byte, 64<<10) // the kernel's limit, XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(int(from.Fd()), name, value)
		if err != nil {
			return fmt.Errorf("%s: extended attribute %s: %w", e.source, name, err)
		}
		err = unix.Fsetxattr(int(to.Fd()), name, value[:n], 0)
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("%s: extended attribute %s: %w", e.source, name, err)
		}
	}
	return nil
}

// attributeNames lists the extended attributes of a file.
func attributeNames(from *os.File, source string) ([]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(from.Fd()), list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: extended attributes: %w", source, err)
	}
	return strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 }), nil
}
