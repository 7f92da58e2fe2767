package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sealpart/sealpart/internal/secret"
)

// environment is all that a module sees of ours.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

// call is one run of a module.
type call struct {
	program string
	args    []string
	input   []byte
	limit   int           // of the output, in bytes
	timeout time.Duration // for one try
	retries int           // more tries after a failure
}

// run starts the module and returns what it wrote to its standard output. Input and output
// may be secrets: they go through pipes and locked memory only.
func (c call) run(ctx context.Context) (*secret.Buffer, error) {
	program, err := openProgram(c.program)
	if err != nil {
		return nil, err
	}
	defer program.dir.Close()
	for range c.retries + 1 {
		var output *secret.Buffer
		if output, err = c.try(ctx, program); err == nil {
			return output, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%s %s: %w", filepath.Base(c.program), c.args[0], err)
}

// try is one try. Whatever the module started ends with it.
func (c call) try(ctx context.Context, from program) (*secret.Buffer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("it did not end within %s", c.timeout))
	defer cancel()
	said := &tail{}
	cmd := exec.CommandContext(ctx, from.given(), c.args...)
	cmd.Args[0], cmd.ExtraFiles = c.program, []*os.File{from.dir}
	cmd.Env, cmd.Dir, cmd.Stderr = environment, "/", said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	pipes, err := c.connect(cmd)
	if err != nil {
		return nil, err
	}
	// A child that has left the module's process group may keep the pipes for ever.
	stop := context.AfterFunc(ctx, pipes.hurry)
	defer stop()
	output, err := pipes.talk(cmd, c.input, c.limit)
	switch {
	case err == nil:
		return output, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%w%s", err, said)
}

// pipes are our ends and the module's.
type pipes struct{ ours, theirs [2]*os.File } // input, output

// connect makes the pipes. The package os/exec would copy through memory of its own, which
// is neither locked nor wiped.
func (c call) connect(cmd *exec.Cmd) (p pipes, err error) {
	if p.theirs[0], p.ours[0], err = os.Pipe(); err != nil {
		return p, err
	}
	if p.ours[1], p.theirs[1], err = os.Pipe(); err != nil {
		return p, errors.Join(err, p.theirs[0].Close(), p.ours[0].Close())
	}
	cmd.Stdin, cmd.Stdout = p.theirs[0], p.theirs[1]
	return p, nil
}

// hurry ends all waiting on our ends.
func (p pipes) hurry() {
	_ = p.ours[0].SetWriteDeadline(time.Unix(0, 0))
	_ = p.ours[1].SetReadDeadline(time.Unix(0, 0))
}

// talk starts the module, gives it the input, and takes its output.
func (p pipes) talk(cmd *exec.Cmd, input []byte, limit int) (*secret.Buffer, error) {
	err := cmd.Start()
	_, _ = p.theirs[0].Close(), p.theirs[1].Close()
	if err != nil {
		_, _ = p.ours[0].Close(), p.ours[1].Close()
		return nil, err
	}
	var written sync.WaitGroup
	written.Go(func() {
		_, _ = p.ours[0].Write(input) // one that does not read its input says so by what it writes
		_ = p.ours[0].Close()
	})
	output, readErr := receive(p.ours[1], limit)
	_ = p.ours[1].Close() // one that goes on writing is told that nobody reads
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left running; mostly there is nothing
	written.Wait()
	if err == nil || !errors.Is(readErr, errNothing) && readErr != nil {
		err = readErr // the end of one that wrote too much is ours
	}
	if err != nil {
		if output != nil {
			output.Wipe()
		}
		return nil, err
	}
	return output, nil
}

var errNothing = errors.New("it wrote nothing")

// receive reads to the end, which must come within limit bytes, and not at once.
func receive(from io.Reader, limit int) (*secret.Buffer, error) {
	whole, err := secret.New(limit + 1)
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(from, whole.Bytes())
	switch {
	case err == nil:
		err = fmt.Errorf("it wrote more than %d bytes", limit)
	case errors.Is(err, io.EOF):
		err = errNothing
	case errors.Is(err, io.ErrUnexpectedEOF):
		return whole.Cut(n), nil
	}
	whole.Wipe()
	return nil, err
}

// tail keeps the end of what a module says of itself.
type tail struct{ bytes []byte }

// Write keeps the last of p.
func (t *tail) Write(p []byte) (int, error) {
	const limit = 512
	t.bytes = append(t.bytes, p...)
	t.bytes = t.bytes[max(0, len(t.bytes)-limit):]
	return len(p), nil
}

// String quotes what was kept for an error.
func (t *tail) String() string {
	text := strings.TrimSpace(string(t.bytes))
	if text == "" {
		return ""
	}
	return ": " + strconv.QuoteToASCII(text)
}
