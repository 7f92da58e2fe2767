// Package claim keeps other programs away from what is being worked on: the nodes of the
// partitions are opened exclusively, so that the kernel mounts and maps none of them, and
// the locks are taken by which libcryptsetup's programs keep out of each other's way.
package claim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpart/sealpart/internal/blockdev"
	"golang.org/x/sys/unix"
)

// lockDir is where libcryptsetup has its lock files (its default; no distribution has
// another). It makes it where it is not there, and so do we.
var lockDir = "/run/cryptsetup"

// How long is waited for a lock. The one on a header is held for as long as a header
// is written. The one on a re-encryption is held for all of it, but for a moment also by
// somebody who only looks whether there is one.
const (
	headerPatience       = 30 * time.Second
	reencryptionPatience = 3 * time.Second
	lockPause            = 20 * time.Millisecond
)

// Mode says what a lock is for.
type Mode int

// The modes of a lock.
const (
	Read  Mode = unix.LOCK_SH
	Write Mode = unix.LOCK_EX
)

// Lock is a lock that is held.
type Lock struct {
	file *os.File
	path string // of the lock file; "" where what is locked is the file itself
}

// Header takes libcryptsetup's lock on the header that lies on a block device, by its
// number, "8:2". It waits for a moment for whoever holds it, until ctx ends at most.
func Header(ctx context.Context, device string, mode Mode) (*Lock, error) {
	return named(ctx, "L_"+device, mode, headerPatience, "the header of device "+device)
}

// HeaderFile takes that lock on a header which is a file: that file's own.
func HeaderFile(ctx context.Context, file *os.File, mode Mode) (*Lock, error) {
	if err := flock(ctx, file, mode, headerPatience); err != nil {
		return nil, busy(err, file, "the header file "+file.Name())
	}
	return &Lock{file: file}, nil
}

// Reencryption takes the lock that whoever re-encrypts the volume with a UUID holds from
// begin to end.
func Reencryption(ctx context.Context, uuid string) (*Lock, error) {
	if strings.Trim(uuid, "0123456789abcdefABCDEF-") != "" || uuid == "" {
		return nil, fmt.Errorf("%.60q is no UUID of a volume", uuid)
	}
	return named(ctx, "LN_LUKS2-reencryption-"+uuid, Write, reencryptionPatience, "the volume "+uuid)
}

// Release gives the lock back. Whoever is last takes the lock file away.
func (l *Lock) Release() error {
	if l.path == "" {
		return unix.Flock(int(l.file.Fd()), unix.LOCK_UN)
	}
	if unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && isAt(l.file, l.path) {
		_ = os.Remove(l.path)
	}
	return l.file.Close()
}

// BusyError says that somebody else holds a lock or a device.
type BusyError struct {
	What string // what they hold
	Who  string
}

// Error names both.
func (e *BusyError) Error() string { return fmt.Sprintf("%s is in use by %s", e.What, e.Who) }

// Hint says what to do.
func (*BusyError) Hint() string { return "nothing of that was touched; run again when it has finished" }

// busy makes a BusyError of the failure to lock a file.
func busy(err error, file *os.File, what string) error {
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &BusyError{what, blockdev.LockHolder(file)}
	}
	return &os.PathError{Op: "lock", Path: file.Name(), Err: err}
}

// named takes the lock of a file in the lock directory. The one before may have taken the
// file away between our opening and locking it: then the lock is worth nothing, and the
// next file is tried.
func named(ctx context.Context, name string, mode Mode, patience time.Duration, what string) (*Lock, error) {
	path := filepath.Join(lockDir, name)
	for {
		file, err := openLock(path)
		if err != nil {
			return nil, &unlockableError{what, err}
		}
		if err := flock(ctx, file, mode, patience); err != nil {
			return nil, errors.Join(busy(err, file, what), file.Close())
		}
		if isAt(file, path) {
			return &Lock{file, path}, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

// unlockableError says that no lock can be had here at all.
type unlockableError struct {
	what string
	err  error
}

// Error names what was to be locked.
func (e *unlockableError) Error() string {
	return fmt.Sprintf("%s cannot be kept from cryptsetup: %v", e.what, e.err)
}

// Unwrap returns why not.
func (e *unlockableError) Unwrap() error { return e.err }

// Hint says what it takes.
func (*unlockableError) Hint() string {
	return "it takes a directory " + lockDir + " that can be written to, as cryptsetup itself does"
}

// openLock opens a lock file, and makes it and its directory where they are not there.
func openLock(path string) (*os.File, error) {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(at) }()
	fd, err := unix.Openat(at, filepath.Base(path), unix.O_CREAT|unix.O_NOFOLLOW|unix.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// flock takes a lock, and waits for it as long as that, until ctx ends at most.
func flock(ctx context.Context, file *os.File, mode Mode, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(lockPause) {
		err := unix.Flock(int(file.Fd()), int(mode)|unix.LOCK_NB)
		wait := errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end) || errors.Is(err, unix.EINTR)
		if !wait {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// isAt reports whether an open file is the one at path.
func isAt(file *os.File, path string) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(own, there)
}
