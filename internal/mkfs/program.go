package mkfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sealpart/sealpart/internal/resolve"
)

// systemPath is where programs are looked for behind the caller's own PATH, which
// often lacks the sbin directories, and all the PATH that they get themselves.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// command is one program to start.
type command struct {
	name string
	args []string
	// files are handed to the program, which opens file i as given(i): a file may have
	// no name, and a program may not look at those of a process that allows no core
	// dumps, as ours does not.
	files []*os.File
	// epoch is the time the program is told, nil for the real one.
	epoch *time.Time
	// good are exit codes beside 0 that are no failure.
	good []int
	// overlay takes what the program writes, nil for none.
	overlay *overlay
	// all is where the whole output goes, nil to keep only its end for the error.
	all *tail
}

// given is the path under which a program finds the i-th of its files.
func given(i int) string { return fmt.Sprintf("/proc/self/fd/%d", 3+i) }

// run starts c and waits for its end. Its error holds the last lines it wrote.
func run(ctx context.Context, c command) error {
	path, err := find(c.name)
	if err != nil {
		return err
	}
	output := c.all
	if output == nil {
		output = &tail{limit: 2 << 10}
	}
	cmd := exec.CommandContext(ctx, path, c.args...)
	cmd.Env, cmd.Dir = environment(c.epoch), "/"
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = c.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	start := cmd.Start
	if c.overlay != nil {
		start = func() error { return c.overlay.start(cmd) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	err = c.judge(ctx, cmd.Wait(), output)
	if c.overlay != nil {
		err = errors.Join(err, c.overlay.stop())
	}
	return err
}

// judge turns the end of a program into an error.
func (c command) judge(ctx context.Context, err error, output *tail) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
	case errors.As(err, &exit) && slices.Contains(c.good, exit.ExitCode()):
		return nil
	default:
		return fmt.Errorf("%s failed (%w): %s", c.name, err, output)
	}
}

// find returns the path of a program. The first that PATH has must be one that nobody else
// can change: it works on the disk, as root.
func find(name string) (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":" + systemPath) {
		if !filepath.IsAbs(dir) {
			continue
		}
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if _, err := (resolve.Tree{Trusted: true}).Stat(path); err != nil {
			return "", fmt.Errorf("%s, which PATH leads to: %w", name, err)
		}
		return path, nil
	}
	return "", fmt.Errorf("%s is not installed (looked in PATH and %s)", name, systemPath)
}

// environment is all that programs see of ours. The e2fsprogs before 1.47.1 know
// the epoch only by a name of their own.
func environment(epoch *time.Time) []string {
	env := []string{"PATH=" + systemPath, "LC_ALL=C", "TZ=UTC", "MTOOLSRC=/dev/null", "MTOOLS_SKIP_CHECK=1"}
	if epoch != nil {
		seconds := strconv.FormatInt(epoch.Unix(), 10)
		env = append(env, "SOURCE_DATE_EPOCH="+seconds, "E2FSPROGS_FAKE_TIME="+seconds)
	}
	return env
}

// tail keeps the last limit bytes written to it.
type tail struct {
	limit int
	bytes []byte
}

// Write keeps the end of p.
func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p[max(0, len(p)-t.limit):]...)
	t.bytes = slices.Delete(t.bytes, 0, max(0, len(t.bytes)-t.limit))
	return len(p), nil
}

// String returns it as one line, for an error.
func (t *tail) String() string {
	lines := strings.FieldsFunc(string(t.bytes), func(r rune) bool { return r == '\n' || r == '\r' })
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" })
	return strings.ToValidUTF8(strings.Join(lines[max(0, len(lines)-6):], "; "), "?")
}
