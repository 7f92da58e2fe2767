package resolve

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// grow makes files, folders (a name that ends in /) and links (a value that begins with ->).
func grow(t *testing.T, root string, tree map[string]string) {
	t.Helper()
	for name, content := range tree {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(content, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case link:
			must(t, os.Symlink(target, path))
		default:
			must(t, os.WriteFile(path, []byte(content), 0o644))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, tree Tree, path string) (string, error) {
	t.Helper()
	file, err := tree.Open(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if file.Name() != path {
		t.Errorf("the file has the name %s, want %s", file.Name(), path)
	}
	text, err := io.ReadAll(file)
	must(t, err)
	return string(text), nil
}

// TestWall opens paths of a hostile tree. What openat2(2) says of the same is the judge.
func TestWall(t *testing.T) {
	top := t.TempDir()
	outside := filepath.Join(top, "secret")
	must(t, os.WriteFile(outside, []byte("outside"), 0o600))
	root := filepath.Join(top, "root")
	grow(t, root, map[string]string{
		"etc/plain": "inside", "secret": "inside the root",
		"etc/absolute": "->/etc/plain", "etc/up": "->../../../../etc/plain", "etc/far": "->" + outside,
		"etc/out": "->../../secret", "etc/loop": "->loop", "etc/a": "->b", "etc/b": "->a",
		"etc/proc": "->/proc/self/fd/0", "lib": "->/usr/lib", "usr/lib/x": "merged",
		"deep/1/2/3": "->../../../etc/absolute", "etc/top": "->/", "etc/none": "->/etc/nothing",
	})
	rootFD, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(rootFD)
	for _, path := range []string{
		"/etc/plain", "etc/plain", "/etc/absolute", "/etc/up", "/etc/far", "/etc/out", "/etc/loop", "/etc/a", "/etc/proc",
		"/lib/x", "/deep/1/2/3", "/etc/top/etc/plain", "/etc/none", "/../../secret", "/etc/../../../secret", "/etc/plain/x",
		"/lib/../../secret", "/etc/top/../secret",
	} {
		fd, wanted := unix.Openat2(rootFD, strings.TrimPrefix(path, "/"), &unix.OpenHow{Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if errors.Is(wanted, unix.ENOSYS) {
			t.Skip("this kernel has no openat2")
		}
		want := ""
		if wanted == nil {
			text, _ := io.ReadAll(os.NewFile(uintptr(fd), path))
			want = string(text)
		}
		got, err := content(t, Tree{Root: root}, path)
		if got != want || wanted != nil && !errors.Is(err, wanted) || wanted == nil && err != nil {
			t.Errorf("%s: %q, %v; the kernel says %q, %v", path, got, err, want, wanted)
		}
		if got == "outside" {
			t.Errorf("%s leads out of the tree", path)
		}
	}
}

// TestMachine resolves paths of this machine as the kernel does, relative ones too.
func TestMachine(t *testing.T) {
	top := t.TempDir()
	grow(t, top, map[string]string{"a/file": "1", "b": "->a", "c/d/up": "->../../b/file", "a/e/": ""})
	t.Chdir(top)
	for _, path := range []string{"a/file", "./b/file", "c/d/up", "b/../a/file", "b/e/../file", filepath.Join(top, "c/d/up")} {
		if got, err := content(t, Tree{Trusted: true}, path); got != "1" || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if _, err := (Tree{}).Open("a/none", os.O_RDONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := (Tree{}).Open(filepath.Join(top, "b"), os.O_RDONLY|unix.O_NOFOLLOW); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link at the end: %v", err)
	}
	if _, _, err := (Tree{}).Parent("/"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("the parent of /: %v", err)
	}
}

// TestHandedOver opens what is there by descriptor only, as a shell passes it.
func TestHandedOver(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	_, _ = w.WriteString("piped")
	must(t, w.Close())
	defer r.Close()
	_ = unix.Fchown(int(r.Fd()), 1000, 1000) // another user's, as after su
	if got, err := content(t, Tree{Trusted: true}, fdPath(int(r.Fd()))); got != "piped" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// asRoot skips a test that gives files away.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of other people")
	}
	t.Setenv("SUDO_UID", "")
}

// TestTrust looks at who could have made, or could change, what a path leads to.
func TestTrust(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		tree    map[string]string
		prepare func(root string)
		at      string // that is not trusted, "" where all is
	}{
		"root's":                {tree: map[string]string{"d/f": ""}},
		"other's file":          {map[string]string{"d/f": ""}, own("d/f"), "d/f"},
		"other's folder":        {map[string]string{"d/f": ""}, own("d"), "d"},
		"other's folder above":  {map[string]string{"a/d/f": "", "d": "->a/d"}, own("a"), "a"},
		"writable file":         {map[string]string{"d/f": ""}, mod("d/f", 0o646), "d/f"},
		"writable folder":       {map[string]string{"d/f": ""}, mod("d", 0o757), "d"},
		"writable by the group": {map[string]string{"d/f": ""}, group("d/f", 0o664), "d/f"},
		"group of root":         {map[string]string{"d/f": ""}, mod("d/f", 0o664), "d/f"},
		"sticky folder":         {map[string]string{"d/f": ""}, mod("d", 0o777|unix.S_ISVTX), ""},
		"other's in a sticky folder": {map[string]string{"d/f": ""}, func(root string) {
			mod("d", 0o777|unix.S_ISVTX)(root)
			own("d/f")(root)
		}, "d/f"},
		"root's link":            {tree: map[string]string{"d/f": "->../x", "x": ""}},
		"other's link":           {map[string]string{"d/f": "->../x", "x": ""}, own("d/f"), "d/f"},
		"link to other's":        {map[string]string{"d/f": "->../x", "x": ""}, own("x"), "x"},
		"link through other's":   {map[string]string{"d/f": "->../o/../x", "x": "", "o/": ""}, own("o"), "o"},
		"other's link to root's": {map[string]string{"d": "->e", "e/f": ""}, own("d"), "d"},
		"other's pipe":           {map[string]string{"d/": ""}, func(root string) { _ = unix.Mkfifo(root+"/d/f", 0o600); own("d/f")(root) }, "d/f"},
		"writable device": {map[string]string{"d/": ""}, func(root string) {
			_ = unix.Mknod(root+"/d/f", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
			mod("d/f", 0o666)(root)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			grow(t, root, c.tree)
			if c.prepare != nil {
				c.prepare(root)
			}
			_, err := Tree{Trusted: true}.Stat(root + "/d/f")
			checkTrust(t, err, root+"/d/f", root+"/"+c.at, c.at == "")
			_, err = Tree{Root: root, Trusted: true}.Stat("/d/f")
			checkTrust(t, err, "/d/f", root+"/"+c.at, c.at == "")
			if _, err := (Tree{Root: root}).Stat("/d/f"); err != nil {
				t.Errorf("a tree that need not be trusted: %v", err)
			}
		})
	}
	t.Run("sudo", func(t *testing.T) {
		root := t.TempDir()
		grow(t, root, map[string]string{"d/f": ""})
		own("d")(root)
		mod("d", 0o775)(root) // for the caller's own group, as with umask 002
		t.Setenv("SUDO_UID", "1000")
		if _, err := (Tree{Trusted: true}).Stat(root + "/d/f"); err != nil {
			t.Errorf("a folder of who called sudo: %v", err)
		}
		t.Setenv("SUDO_UID", "1001")
		_, err := Tree{Trusted: true}.Stat(root + "/d/f")
		checkTrust(t, err, root+"/d/f", root+"/d", false)
	})
}

func checkTrust(t *testing.T, err error, path, at string, trusted bool) {
	t.Helper()
	var told *UntrustedError
	switch {
	case trusted && err != nil:
		t.Errorf("%s: %v", path, err)
	case trusted:
	case !errors.As(err, &told) || told.Path != path || told.At != at:
		t.Errorf("%s: %v; want that %s is not trusted", path, err, at)
	case !strings.Contains(told.Hint(), at):
		t.Errorf("the hint %q does not name %s", told.Hint(), at)
	}
}

func own(name string) func(string) {
	return func(root string) { _ = os.Lchown(filepath.Join(root, name), 1000, 1000) }
}

func group(name string, mode uint32) func(string) {
	return func(root string) {
		_ = os.Lchown(filepath.Join(root, name), 0, 1000)
		mod(name, mode)(root)
	}
}

func mod(name string, mode uint32) func(string) {
	return func(root string) { _ = unix.Chmod(filepath.Join(root, name), mode) }
}

// TestAsUser trusts what is one's own, and not what is another user's: it runs itself as
// an ordinary user.
func TestAsUser(t *testing.T) {
	if path := os.Getenv("SEALPART_TEST_OPEN"); path != "" {
		_, err := Tree{Trusted: true}.Stat(path)
		var told *UntrustedError
		if errors.As(err, &told) {
			t.Fatalf("untrusted: %s", told.At)
		}
		must(t, err)
		return
	}
	asRoot(t)
	root := t.TempDir()
	for dir := root; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755)) // for the user to get there
	}
	grow(t, root, map[string]string{"own/f": "", "theirs/f": "", "roots/f": "", "test": ""})
	must(t, os.Chown(root+"/own", 1000, 1000))
	must(t, os.Chown(root+"/own/f", 1000, 1000))
	must(t, os.Chmod(root+"/own", 0o775))
	must(t, os.Chown(root+"/theirs/f", 1001, 1001))
	program, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(root+"/test", program, 0o755))
	must(t, os.Chmod(root+"/test", 0o755))
	for path, want := range map[string]string{"own/f": "PASS", "roots/f": "PASS", "theirs/f": "untrusted: " + root + "/theirs/f"} {
		cmd := exec.Command(root+"/test", "-test.run=^TestAsUser$", "-test.v")
		cmd.Dir = root
		cmd.Env = []string{"SEALPART_TEST_OPEN=" + filepath.Join(root, path)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: %s; want %s", path, out, want)
		}
	}
}

// TestFS reads a directory as definitions are read.
func TestFS(t *testing.T) {
	root := t.TempDir()
	grow(t, root, map[string]string{
		"etc/d/a.toml": "a", "etc/d/b.toml": "->/usr/share/b.toml", "usr/share/b.toml": "b", "etc/d/mask.toml": "->/dev/null", "e": "->/etc/d",
	})
	dir := Tree{Root: root, Trusted: true}.FS("/e")
	entries, err := fs.ReadDir(dir, ".")
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("%d entries, want 3", len(entries))
	}
	for name, want := range map[string]string{"a.toml": "a", "b.toml": "b"} {
		if text, err := fs.ReadFile(dir, name); string(text) != want || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if to, err := fs.ReadLink(dir, "mask.toml"); to != "/dev/null" || err != nil {
		t.Errorf("the mask leads to %q, %v", to, err)
	}
	if _, err := fs.ReadDir(Tree{Root: root}.FS("/nothing"), "."); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// TestFIFO: one that has a name is refused at once, though nobody ever writes to it.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tree := range []Tree{{}, {Trusted: true}, {Root: filepath.Dir(path)}} {
		name := path
		if tree.Root != "" {
			name = "/fifo"
		}
		if _, err := tree.Open(name, os.O_RDONLY); !errors.Is(err, ErrFIFO) {
			t.Errorf("%+v: %v", tree, err)
		}
	}
	file, err := Trusted(path, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}
