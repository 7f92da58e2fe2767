package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSource reads a key from each kind of source, twice where it can be.
func TestSource(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	path := filepath.Join(dir, "vendor")
	write(t, path, []byte("secret\n"))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 2 {
		for _, source := range []string{"file:" + path, "credential:vendor", fmt.Sprintf("fd:%d", file.Fd())} {
			got, err := Read(t.Context(), source)
			if err != nil || string(got.Bytes()) != "secret\n" {
				t.Errorf("%s: %v", source, err)
			}
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprint(w, "piped")
	w.Close()
	if got, err := Read(t.Context(), fmt.Sprintf("fd:%d", r.Fd())); err != nil || string(got.Bytes()) != "piped" {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := Read(t.Context(), fmt.Sprintf("fd:%d", r.Fd())); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty pipe gave a key: %v", err)
	}
}

// TestSourceErrors: what cannot be read says so.
func TestSourceErrors(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for source, want := range map[string]string{
		"credential:vendor": "the service manager has passed none", "file:/nonexistent": "open /nonexistent: no such file or directory",
		"fd:987654": "file descriptor 987654: bad file descriptor", "socket:/run/s": "connect: no such file or directory",
		"ask": `key source "ask": there is no terminal to ask on`, "vendor": `or "ask"; a secret itself does not belong there`,
	} {
		if _, err := Read(t.Context(), source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", source, err, want)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
