package keyfile

import (
	"fmt"
	"os"
	"path/filepath"
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
			got, err := Source(t.Context(), source)
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
	if got, err := Source(t.Context(), fmt.Sprintf("fd:%d", r.Fd())); err != nil || string(got.Bytes()) != "piped" {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := Source(t.Context(), fmt.Sprintf("fd:%d", r.Fd())); err == nil {
		t.Error("an empty pipe gave a key")
	}
}

// TestSourceErrors: what cannot be read says so.
func TestSourceErrors(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, source := range []string{"credential:vendor", "file:/nonexistent", "fd:987654", "socket:/run/s", "ask", "vendor"} {
		if _, err := Source(t.Context(), source); err == nil {
			t.Errorf("%s: no error", source)
		}
	}
}
