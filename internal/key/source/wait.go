package source

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// forKey is how a key file is opened. Without O_NONBLOCK the opening of a FIFO would wait for its
// other end, and nothing could stop it.
const forKey = os.O_RDONLY | unix.O_NONBLOCK

// patiently returns a reader of what may have nothing to read for a long time, or for
// ever: a FIFO, a terminal, standard input, a socket. The end of ctx ends a read.
func patiently(ctx context.Context, from io.Reader) io.Reader {
	switch from := from.(type) {
	case *os.File:
		return waiting{ctx, from}
	case net.Conn:
		return hurried{ctx, from}
	}
	return from
}

// waiting reads a file that poll(2) can wait for.
type waiting struct {
	ctx  context.Context
	file *os.File
}

func (w waiting) Read(p []byte) (int, error) {
	for {
		if err := waitFor(w.ctx, w.file); err != nil {
			return 0, err
		}
		n, err := unix.Read(int(w.file.Fd()), p)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, &os.PathError{Op: "read", Path: w.file.Name(), Err: err}
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// hurried reads a connection, which has a deadline.
type hurried struct {
	ctx  context.Context
	conn net.Conn
}

func (h hurried) Read(p []byte) (int, error) {
	stop := context.AfterFunc(h.ctx, func() { _ = h.conn.SetReadDeadline(time.Unix(0, 0)) })
	defer stop()
	n, err := h.conn.Read(p)
	if err != nil && h.ctx.Err() != nil {
		err = context.Cause(h.ctx)
	}
	return n, err
}
