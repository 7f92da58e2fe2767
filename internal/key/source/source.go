// Package source reads keys and PINs from where a definition or a flag says that they come
// from: files, credentials of systemd, descriptors, sockets, the terminal. Nothing that it
// waits for outlasts its context.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/resolve"
	"github.com/sealpart/sealpart/internal/secret"
	"golang.org/x/sys/unix"
)

// Read returns the key that a key source names: the whole of a file, of a
// credential in $CREDENTIALS_DIRECTORY (systemd.exec(5)), of what an open file
// descriptor or a socket has to read, or a line typed at the terminal. A pipe gives it
// once only. It ends when ctx is done.
func Read(ctx context.Context, source string) (*secret.Buffer, error) {
	return Prompted(ctx, source, "passphrase of the existing key: ")
}

// Prompted is Read, with another question at the terminal.
func Prompted(ctx context.Context, source, prompt string) (*secret.Buffer, error) {
	kind, where, err := definitions.ParseKeySource(source)
	if err != nil {
		return nil, fmt.Errorf("key source %w", err)
	}
	if kind == definitions.SourceAsk {
		return ask(ctx, prompt)
	}
	from, err := open(ctx, kind, where)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return ReadAll(ctx, from, source)
}

// open opens what a key is read from.
func open(ctx context.Context, kind, where string) (io.ReadCloser, error) {
	switch kind {
	case definitions.SourceFile:
		return OpenFile(where)
	case definitions.SourceCredential:
		return openCredential(where)
	case definitions.SourceFD:
		return openDescriptor(where)
	case definitions.SourceSocket:
		return openSocket(ctx, where)
	}
	return nil, fmt.Errorf("key source of the unknown kind %q", kind)
}

// OpenFile opens a key file that others cannot have put there. A FIFO opens at once, whether
// somebody writes to it or not.
func OpenFile(path string) (*os.File, error) { return resolve.Trusted(path, forKey) }

// socketPatience is how long whoever listens on a socket may take to give all of a key.
const socketPatience = 30 * time.Second

// openSocket connects to a stream socket, whose other end writes the key and closes. What
// is connected to is what was looked at: others' sockets give no keys.
func openSocket(ctx context.Context, path string) (net.Conn, error) {
	socket, err := resolve.Trusted(path, unix.O_PATH)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket %s: connect: %w", path, unix.ENOENT)
	}
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	dialer := net.Dialer{Timeout: socketPatience}
	conn, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", socket.Fd()))
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return conn, conn.SetDeadline(time.Now().Add(socketPatience))
}

// Place returns the path of what a key source is read from: a file, a credential or a
// socket; "" for a credential where the service manager has passed none.
func Place(source string) string {
	kind, where, err := definitions.ParseKeySource(source)
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	switch {
	case err != nil || kind == definitions.SourceCredential && dir == "":
		return ""
	case kind == definitions.SourceCredential:
		return filepath.Join(dir, where)
	}
	return where
}

func openCredential(name string) (*os.File, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, fmt.Errorf("credential %s: the service manager has passed none ($CREDENTIALS_DIRECTORY is not set)", name)
	}
	return OpenFile(filepath.Join(dir, name))
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
