package wholefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpart/sealpart/internal/wholefile"
)

// fill returns what writes text.
func fill(text string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.WriteString(text)
		return err
	}
}

// TestCreate: the file appears whole, with its mode, and never over another.
func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := wholefile.Create(path, 0o640, fill("one")); err != nil {
		t.Fatal(err)
	}
	check(t, path, "one")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := wholefile.Create(path, 0o600, fill("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	check(t, path, "one")
	if err := wholefile.Replace(path, 0o600, fill("two")); err != nil {
		t.Fatal(err)
	}
	check(t, path, "two")
}

// TestFailure: where it cannot be filled, what was there before stays.
func TestFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	broken := errors.New("broken")
	half := func(f *os.File) error { return errors.Join(fill("half")(f), broken) }
	if err := wholefile.Create(path, 0o600, half); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Replace(path, 0o600, half); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	check(t, path, "old")
}

// check compares the file, and that nothing lies beside it.
func check(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if beside, err := os.ReadDir(filepath.Dir(path)); err != nil || len(beside) != 1 {
		t.Errorf("beside it: %v, %v", beside, err)
	}
}
