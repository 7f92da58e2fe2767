package mkfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// open makes the folder of a test one that everybody can enter.
func openToAll(t *testing.T, dir string) {
	t.Helper()
	for ; dir != "/" && dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// swapped makes a directory that others can change, with files and folders each of which
// is, from one moment to the next, a link out of it, until the test ends.
func swapped(t *testing.T) (dir string) {
	t.Helper()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "file"), "what is outside", 0o600)
	dir = filepath.Join(t.TempDir(), "theirs")
	aside := dir + ".aside"
	const n = 40
	for i := range n {
		write(t, fmt.Sprintf("%s/d%d/file", dir, i), "what is inside", 0o644)
		write(t, fmt.Sprintf("%s/f%d", dir, i), "what is inside", 0o644)
		if err := os.MkdirAll(aside, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, to := range map[string]string{"d": outside, "f": outside + "/file"} {
			link := fmt.Sprintf("%s/%s%d", aside, name, i)
			if err := errors.Join(os.Symlink(to, link), os.Lchown(link, 1000, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	openToAll(t, dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for i := range n {
				for _, name := range []string{"d", "f"} {
					at := fmt.Sprintf("/%s%d", name, i)
					_ = unix.Renameat2(unix.AT_FDCWD, dir+at, unix.AT_FDCWD, aside+at, unix.RENAME_EXCHANGE)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return dir
}

// TestSwappedWhileCopied copies a directory in which another user puts links out of it in the
// place of what is there, as fast as can be. That may be an error. What is outside is never
// copied, be the directory used where it lies, staged, or copied by mtools.
func TestSwappedWhileCopied(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make links of other people")
	}
	t.Setenv("SUDO_UID", "")
	dir := swapped(t)
	more := t.TempDir()
	write(t, filepath.Join(more, "file"), "more", 0o644)
	for name, fs := range map[string]Filesystem{
		"one source":  {Format: "ext4", CopyFiles: []Copy{{Source: dir, Target: "/"}}},
		"two sources": {Format: "ext4", CopyFiles: []Copy{{Source: dir, Target: "/srv"}, {Source: more, Target: "/more"}}},
		"FAT":         {Format: "vfat", CopyFiles: []Copy{{Source: dir, Target: "/"}}},
		"one file":    {Format: "vfat", CopyFiles: []Copy{{Root: dir, Source: "/f0", Target: "/f"}, {Root: dir, Source: "/f1", Target: "/f1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, tool := range host.ProgramsFor(fs.Format, true) {
				testenv.Need(t, tool)
			}
			for range 3 {
				path := sparse(t, 40*disk.MiB)
				err := Make(t.Context(), path, fs)
				image, failed := os.ReadFile(path)
				if failed != nil {
					t.Fatal(failed)
				}
				if bytes.Contains(image, []byte("what is outside")) {
					t.Fatalf("the image has what is outside the directory (%v)", err)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestExposed: a directory is used where it lies only where nobody else can change what a
// path in it leads to.
func TestExposed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of other people")
	}
	t.Setenv("SUDO_UID", "")
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    bool
	}{
		"root's":                  {func(string) error { return nil }, false},
		"other's file":            {func(dir string) error { return os.Chown(dir+"/a/b/file", 1000, 1000) }, false},
		"other's folder deep":     {func(dir string) error { return os.Chown(dir+"/a/b", 1000, 1000) }, true},
		"a folder for all":        {func(dir string) error { return os.Chmod(dir+"/a", 0o777) }, true},
		"a sticky folder for all": {func(dir string) error { return os.Chmod(dir+"/a", 0o777|os.ModeSticky) }, true},
		"in other's":              {func(dir string) error { return os.Chown(filepath.Dir(dir), 1000, 1000) }, true},
		"in one that is closed": {func(dir string) error {
			_ = os.Chown(dir+"/a/b", 1000, 1000)
			return os.Chmod(filepath.Dir(dir), 0o700)
		}, false},
		"in a closed one of others": {func(dir string) error {
			_ = os.Chmod(filepath.Dir(dir), 0o700)
			return os.Chown(filepath.Dir(dir), 1000, 1000)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "above/tree")
			write(t, dir+"/a/b/file", "x", 0o644)
			openToAll(t, dir)
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			if got := (Copy{Source: dir, Target: "/"}).exposed(); got != c.want {
				t.Errorf("exposed: %v, want %v", got, c.want)
			}
			if got := (Copy{Root: filepath.Dir(dir), Source: "/tree", Target: "/"}).exposed(); got != c.want {
				t.Errorf("exposed below a root: %v, want %v", got, c.want)
			}
		})
	}
}

// TestTemporaryFolderOfOthers: nothing is staged where another user could put something else
// in its place.
func TestTemporaryFolderOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of other people")
	}
	t.Setenv("SUDO_UID", "")
	testenv.Need(t, "mkfs.ext4")
	theirs := t.TempDir()
	if err := os.Chown(theirs, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	src := t.TempDir()
	write(t, src+"/file", "x", 0o644)
	for name, want := range map[string]string{theirs: "directory for temporary files: " + theirs + " is not trusted", t.TempDir(): ""} {
		t.Setenv("TMPDIR", name)
		err := Make(t.Context(), sparseIn(t, src, 8*disk.MiB), Filesystem{Format: "ext4", UUID: testUUID, CopyFiles: []Copy{{Source: src + "/file", Target: "/d/file"}}})
		if want == "" && err != nil || want != "" && (err == nil || !bytes.Contains([]byte(err.Error()), []byte(want))) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// sparseIn is sparse in a folder.
func sparseIn(t *testing.T, dir string, size disk.Bytes) string {
	t.Helper()
	path := filepath.Join(dir, "target")
	write(t, path, "", 0o600)
	if err := os.Truncate(path, int64(size)); err != nil {
		t.Fatal(err)
	}
	return path
}

// meddling puts a program of a name before the real one: it runs a script first, as somebody
// would who is as fast as can be.
func meddling(t *testing.T, name, script string) {
	t.Helper()
	program := testenv.Need(t, name)
	bin := t.TempDir()
	openToAll(t, bin)
	write(t, bin+"/"+name, fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", script, program), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// TestSwappedBeforeItIsRead: at the very moment at which a program begins to read, somebody
// changes a directory that is theirs to change. What was there before is copied: programs get
// what nobody else can change, or an open file. A directory of ours is read where it lies.
func TestSwappedBeforeItIsRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to keep a secret from others")
	}
	t.Setenv("SUDO_UID", "")
	for name, c := range map[string]struct {
		format, program string
		shared          bool
		want            string
		noticed         string // why Make fails: it read what is there afterwards
	}{
		"ext4":       {"ext4", "mkfs.ext4", true, "what is inside", ""},
		"ext4, ours": {"ext4", "mkfs.ext4", false, "link to ", ""}, // which shows that it was swapped in time
		"FAT":        {"vfat", "mcopy", true, "what is inside", ""},
		"FAT, ours":  {"vfat", "mcopy", false, "what is outside", "/file has 15 bytes, not 14"},
	} {
		t.Run(name, func(t *testing.T) {
			outside, dir := filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "theirs")
			write(t, outside, "what is outside", 0o600)
			write(t, dir+"/file", "what is inside", 0o644)
			openToAll(t, dir)
			if c.shared {
				if err := os.Chmod(dir, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			meddling(t, c.program, fmt.Sprintf("ln -sfn %s %s/file", outside, dir))
			path := sparse(t, 40*disk.MiB)
			err := Make(t.Context(), path, Filesystem{Format: c.format, CopyFiles: []Copy{{Source: dir, Target: "/"}}})
			if noticed := c.noticed != "" && err != nil && strings.Contains(err.Error(), c.noticed); err != nil && !noticed || err == nil && c.noticed != "" {
				t.Fatalf("got %v, want %q", err, c.noticed)
			}
			if got := fileIn(t, c.format, path); !strings.Contains(got, c.want) || strings.Contains(got, "outside") != strings.Contains(c.want, "outside") {
				t.Errorf("the image holds %q, not %q", got, c.want)
			}
		})
	}
}

// fileIn returns what /file is in a file system: its text, or that it is a link.
func fileIn(t *testing.T, format, path string) string {
	t.Helper()
	if format == "vfat" {
		return output(t, "mtype", "-i", path, "::/file")
	}
	if bytes.Contains([]byte(output(t, "debugfs", "-R", "stat /file", path)), []byte("Type: symlink")) {
		return "link to "
	}
	return output(t, "debugfs", "-R", "cat /file", path)
}

// TestSwappedBetweenLookAndOpen: what an entry has become since it was seen is not copied, be it
// a link out of the tree, or a pipe that would be waited for.
func TestSwappedBetweenLookAndOpen(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "what is outside", 0o600)
	for name, c := range map[string]struct {
		swap func(file string) error
		want string
	}{
		"a link out of it":     {func(file string) error { return os.Symlink(outside, file) }, "path escapes from parent"},
		"a pipe":               {func(file string) error { return unix.Mkfifo(file, 0o600) }, "has changed while it was copied"},
		"a directory":          {func(file string) error { return os.Mkdir(file, 0o700) }, "has changed while it was copied"},
		"nothing, all is well": {func(file string) error { return os.WriteFile(file, []byte("x"), 0o600) }, ""},
	} {
		dir, to := t.TempDir(), t.TempDir()
		write(t, dir+"/file", "what is inside", 0o644)
		in, err := os.OpenRoot(to)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		s := stager{dir: in, links: map[inode]string{}, late: map[string]late{}}
		err = Copy{Source: dir, Target: "/"}.walk(func(e entry) error {
			if e.name == "file" {
				if err := errors.Join(os.Remove(dir+"/file"), c.swap(dir+"/file")); err != nil {
					t.Fatal(err)
				}
			}
			return s.copy(e)
		})
		copied, _ := os.ReadFile(to + "/file")
		if (err == nil) != (c.want == "") || err != nil && !bytes.Contains([]byte(err.Error()), []byte(c.want)) || bytes.Contains(copied, []byte("outside")) {
			t.Errorf("%s: %v, copied %q", name, err, copied)
		}
	}
}
