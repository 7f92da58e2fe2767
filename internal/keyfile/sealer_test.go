package keyfile

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/definitions"
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
	if err := os.Truncate(filepath.Join(dir, "huge"), maxSize+1); err != nil {
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

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
