package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/key"
)

func TestSealGivesTheWholeFile(t *testing.T) {
	for _, size := range []int{1, 4095, 4096, 4097, 100_000} {
		content := bytes.Repeat([]byte{0, 1, '\n'}, size)[:size]
		path := filepath.Join(t.TempDir(), "key")
		write(t, path, content)
		got, err := Sealer{}.Unseal(context.Background(), definitions.Key{Path: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), content) {
			t.Errorf("a file of %d bytes came back as %d", size, len(got.Bytes()))
		}
		got.Wipe()
	}
}

func TestDefaultOverrulesDefinitions(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "given"), []byte("given"))
	write(t, filepath.Join(dir, "named"), []byte("named"))
	sealer := Sealer{Default: filepath.Join(dir, "given")}
	got, err := sealer.Unseal(context.Background(), definitions.Key{Path: filepath.Join(dir, "named")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if string(got.Bytes()) != "given" {
		t.Errorf("got %q", got.Bytes())
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), nil)
	write(t, filepath.Join(dir, "huge"), nil)
	if err := os.Truncate(filepath.Join(dir, "huge"), 8<<20+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                          "no key file is given",
		filepath.Join(dir, "empty"): "is empty",
		filepath.Join(dir, "none"):  "no such file",
		filepath.Join(dir, "huge"):  "larger than 8388608 bytes",
		dir:                         "is a directory",
	} {
		_, err := Sealer{}.Seal(context.Background(), definitions.Key{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", path, err, want)
		}
	}
}

// TestPart: a key is some bytes of its file, all of them or none; standard input gives
// them as often as they are wanted.
func TestPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, []byte("0123456789"))
	for _, c := range []struct {
		offset, size disk.Bytes
		want         string // "" where it is refused
	}{
		{0, 0, "0123456789"}, {3, 0, "3456789"}, {3, 2, "34"}, {9, 1, "9"}, {0, 10, "0123456789"},
		{0, 11, ""}, {9, 2, ""}, {10, 0, ""}, {11, 0, ""}, {10, 1, ""},
	} {
		key := definitions.Key{Path: path, Offset: c.offset, Size: c.size}
		for name, sealer := range map[string]Sealer{"file": {}, "stdin": {Default: Stdin, Input: NewInput(strings.NewReader("0123456789"))}} {
			for range 2 {
				got, err := sealer.Unseal(t.Context(), key, nil)
				if (err != nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "has 10 bytes; the key is ") || err == nil && string(got.Bytes()) != c.want {
					t.Errorf("%s, %d from %d on: %v", name, c.size, c.offset, err)
				}
				got.Wipe()
			}
		}
	}
	if _, err := (Sealer{Default: Stdin, Input: NewInput(strings.NewReader(""))}).Unseal(t.Context(), definitions.Key{}, nil); err == nil || !strings.Contains(err.Error(), "key file standard input is empty") {
		t.Errorf("a key from nothing: %v", err)
	}
}

// TestWorldReadable: what anybody can read is told by name, and used all the same.
func TestWorldReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, []byte("key"))
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var said string
		key, err := Sealer{Warn: func(text string) { said = text }}.Unseal(t.Context(), definitions.Key{Path: path}, nil)
		if err != nil || strings.Contains(said, path) != want {
			t.Errorf("%s: %q, %v", mode, said, err)
		}
		key.Wipe()
	}
}

// TestCredential: a credential stands in the place of a file.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "disk"), []byte("from a credential"))
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	key, err := Sealer{}.Unseal(t.Context(), definitions.Key{Path: "credential:disk", Offset: 7}, nil)
	if err != nil || string(key.Bytes()) != "credential" {
		t.Fatal(err)
	}
	key.Wipe()
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestThere: a key that is not there is told from one that is not good, and from one that
// nobody named.
func TestThere(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, content := range map[string]string{"key": "k", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path          string
		there, absent bool
	}{
		{filepath.Join(dir, "key"), true, false}, {filepath.Join(dir, "empty"), true, false}, {filepath.Join(dir, "none"), false, true},
		{"credential:key", true, false}, {"credential:none", false, true}, {"socket:" + filepath.Join(dir, "none"), false, true},
		{"", false, false},
	} {
		k := definitions.Key{Type: definitions.KeyFile, Path: c.path}
		_, err := Sealer{}.Seal(t.Context(), k)
		if there, absent := (Sealer{}).There(t.Context(), k), errors.Is(err, key.ErrAbsent); there != c.there || absent != c.absent {
			t.Errorf("%q: there: %v, absent: %v, %v", c.path, there, absent, err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if (Sealer{}).There(t.Context(), definitions.Key{Path: "credential:key"}) {
		t.Error("a credential is there, and nobody passed one")
	}
}
