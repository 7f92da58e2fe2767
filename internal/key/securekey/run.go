package securekey

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sealpart/sealpart/internal/resolve"
)

// patience is how long zkey may take.
const patience = time.Minute

// environment is all that zkey sees of ours, beside its repository.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

// run starts zkey on a repository. Its error has the last that it said.
func run(ctx context.Context, repository string, args ...string) error {
	path, err := exec.LookPath("zkey")
	if err != nil {
		return fmt.Errorf("zkey, of s390-tools, is not installed: %w", err)
	}
	if _, err := (resolve.Tree{Trusted: true}).Stat(path); err != nil {
		return fmt.Errorf("zkey, which PATH leads to: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not end within %s", patience))
	defer cancel()
	said := &tail{}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = append([]string{"ZKEY_REPOSITORY=" + repository}, environment...), "/"
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("zkey %s: %w: %q", args[0], err, strings.TrimSpace(string(said.bytes)))
	}
	return nil
}

// tail keeps the end of what zkey says.
type tail struct{ bytes []byte }

// Write keeps the last of p.
func (t *tail) Write(p []byte) (int, error) {
	const limit = 512
	t.bytes = append(t.bytes, p...)
	t.bytes = t.bytes[max(0, len(t.bytes)-limit):]
	return len(p), nil
}
