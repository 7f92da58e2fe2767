package definitions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoadRealDirectory reads through os.DirFS, as the command does.
func TestLoadRealDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.toml": named("a"), "b.toml": named("b")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	higher := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(higher, "a.toml")); err != nil {
		t.Fatal(err)
	}
	got, err := Load(Options{Sources: []Source{
		{os.DirFS(filepath.Join(dir, "missing")), "missing"}, {os.DirFS(higher), higher}, {os.DirFS(dir), dir},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b=b"}, labels(got)); d != "" {
		t.Error(d)
	}
	if want := filepath.Join(dir, "b.toml"); got[0].File != want {
		t.Errorf("file %q, want %q", got[0].File, want)
	}
}

// TestLoadBadFiles has files that cannot be read as one, and the errors for them.
func TestLoadBadFiles(t *testing.T) {
	device, loop := t.TempDir(), t.TempDir()
	for dir, target := range map[string]string{device: "/dev/zero", loop: "a.toml"} {
		if err := os.Symlink(target, filepath.Join(dir, "a.toml")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, want string
		fsys       fs.FS
	}{
		{"directory", "d/a.toml: not a regular file", tree(map[string]string{"a.toml/x": ""})},
		{"device", "d/a.toml: not a regular file", os.DirFS(device)},
		{"dangling link", "d/a.toml: cannot be read: file does not exist", tree(map[string]string{"a.toml": "-> none"})},
		{"loop of links", "d/a.toml: cannot be read: too many levels of symbolic links", os.DirFS(loop)},
		{"2 MiB", "d/a.toml: larger than 1048576 bytes: this is no definition", tree(map[string]string{"a.toml": strings.Repeat("#", 2<<20)})},
		{"drop-in directory that is a file", "d/a.toml.d: cannot list the directory: ", tree(map[string]string{"a.toml": named("a"), "a.toml.d": "x"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(Options{Sources: []Source{{c.fsys, "d"}}})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Line != 0 || e.Excerpt != "" {
				t.Errorf("%#v is no Error about a whole file", e)
			}
		})
	}
}
