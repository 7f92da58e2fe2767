package kill

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpart/sealpart/tests/rig"
)

// stopped starts sealpart, sends it signals half a second apart, and returns its exit code
// and what it said.
func stopped(t *testing.T, signals []syscall.Signal, args ...string) (code int, said string) {
	t.Helper()
	cmd := rig.Sealpart(t, args...)
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	for _, s := range signals {
		time.Sleep(500 * time.Millisecond)
		asked = time.Now()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // what it ended with is looked at by the caller
	if took := time.Since(asked); took > 3*time.Second {
		t.Errorf("%v: it took %s to stop", args, took)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestStoppedWhileWaiting: a signal ends the wait for a key file that never comes, before
// anything is written.
func TestStoppedWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := rig.NewPlain(t, dir, 48)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		code, said := stopped(t, []syscall.Signal{s}, "apply", "--definitions", plain.Definitions, "--key-file", fifo, plain.Path)
		if code != 3 || !strings.Contains(said, "interrupted") || strings.Contains(said, "goroutine") {
			t.Errorf("%s: exit code %d\n%s", s, code, said)
		}
	}
}

// TestSecondSignal ends a run that waits for a TPM which never answers.
func TestSecondSignal(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	plain := rig.NewPlain(t, dir, 48)
	defs := filepath.Join(dir, "sealed")
	if err := os.Mkdir(defs, 0o755); err != nil {
		t.Fatal(err)
	}
	rig.File(t, defs, "10-root.toml", "partition = { type = \"root\", weight = 0 }\nencryption = { existing = \"convert\", header_room = \"grow\", key = [{ type = \"tpm2\", pcrs = [7] }] }\n")
	code, said := stopped(t, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, "apply", "--definitions", defs, "--tpm2-device", "swtpm:path="+socket, plain.Path)
	if code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d\n%s", code, said)
	}
}
