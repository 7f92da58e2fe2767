package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadModule is a PKCS#11 module that never comes back from C_Initialize, as one whose daemon
// hangs. It says that it is there by making a file.
const deadModule = `
#include <fcntl.h>
#include <unistd.h>
static unsigned long initialize(void *args) { open(THERE, O_CREAT | O_WRONLY, 0600); for (;;) pause(); return 5; }
static struct { unsigned char version[2]; unsigned long (*function[68])(void *); } list = { {2, 40}, {initialize} };
unsigned long C_GetFunctionList(void **out) { *out = &list; return 0; }
`

// TestStoppedInModule: a call into a PKCS#11 module that does not come back keeps nobody. The
// first signal ends the run, with its exit code, and the disk is as it was.
func TestStoppedInModule(t *testing.T) {
	dir := t.TempDir()
	there, module, image := filepath.Join(dir, "there"), filepath.Join(dir, "dead.so"), filepath.Join(dir, "disk.img")
	for name, text := range map[string]string{
		"dead.c": deadModule, "disk.img": strings.Repeat("\x00", 128<<20),
		"10-data.toml": fmt.Sprintf("[partition]\ntype = \"linux-generic\"\nsize_min = \"16M\"\n[encryption]\nkey = [{ type = \"pkcs11\", uri = \"pkcs11:token=x\", module = %q }]\n", module),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "", "cc", "-shared", "-fPIC", "-w", fmt.Sprintf("-DTHERE=%q", there), "-o", module, strings.TrimSuffix(module, "so")+"c")
	cmd := exec.Command(os.Args[0], "apply", "--empty=allow", "--definitions="+dir, image)
	cmd.Args[0] = "sealpart" // see TestMain
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(there); err == nil {
			break
		}
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	asked := time.Now()
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // what it ended with is looked at here
	if code, took := cmd.ProcessState.ExitCode(), time.Since(asked); code != exitInterrupted || took > 5*time.Second ||
		!strings.Contains(said.String(), "error: interrupted") || !strings.Contains(said.String(), "stopped by SIGTERM") {
		t.Errorf("exit code %d after %s\n%s", code, took, said.String())
	}
	if left, err := os.ReadFile(image); err != nil || len(bytes.Trim(left, "\x00")) > 0 {
		t.Errorf("the disk was written to; %v", err)
	}
}
