package keyfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/secret"
	"golang.org/x/sys/unix"
)

// Source returns the key that a key source names: the whole of a file, of a
// credential in $CREDENTIALS_DIRECTORY (systemd.exec(5)), or of what an open file
// descriptor has to read. A pipe gives it once only.
func Source(source string) (*secret.Buffer, error) {
	kind, where, err := definitions.ParseKeySource(source)
	if err != nil {
		return nil, fmt.Errorf("key source %w", err)
	}
	var file *os.File
	switch kind {
	case definitions.SourceFile:
		file, err = os.Open(where)
	case definitions.SourceCredential:
		file, err = openCredential(where)
	case definitions.SourceFD:
		file, err = openDescriptor(where)
	default:
		err = fmt.Errorf("key source of the unknown kind %q", kind)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, source)
}

func openCredential(name string) (*os.File, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, fmt.Errorf("credential %s: the service manager has passed none ($CREDENTIALS_DIRECTORY is not set)", name)
	}
	return os.Open(filepath.Join(dir, name))
}

// openDescriptor opens a descriptor of ours a second time, from its beginning where
// it has one, so that it stays open for whoever reads it next.
func openDescriptor(number string) (*os.File, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("file descriptor %d: %w", n, err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil && !errors.Is(err, unix.ESPIPE) {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("file descriptor %d: %w", n, err)
	}
	return os.NewFile(uintptr(fd), "fd:"+number), nil
}
