package mkfs

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
)

var (
	testUUID  = uuid.MustParse("6a6a6a6a-1111-4222-8333-444455556666")
	testEpoch = time.Unix(1_000_000_000, 0)
)

// sparse makes a file of the given size for a file system.
func sparse(t testing.TB, size disk.Bytes) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(size)); err != nil {
		t.Fatal(err)
	}
	return path
}

// must makes fs in a new file of the given size.
func must(t testing.TB, size disk.Bytes, fs Filesystem) string {
	t.Helper()
	for _, tool := range host.ProgramsFor(fs.Format, true) {
		testenv.Need(t, tool)
	}
	path := sparse(t, size)
	if err := Make(t.Context(), path, fs); err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a judge, which must succeed.
func output(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func blkid(t testing.TB, path, tag string) string {
	t.Helper()
	return strings.TrimSpace(output(t, "blkid", "-p", "-o", "value", "-s", tag, path))
}

// write makes a file with its parents.
func write(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// tree makes two source directories with what file systems hold.
func tree(t testing.TB) (first, second string) {
	t.Helper()
	dir := t.TempDir()
	first, second = filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, filepath.Join(first, "etc/a file"), "one\n", 0o640)
	write(t, filepath.Join(first, "etc/quote\"s"), "q\n", 0o644)
	write(t, filepath.Join(first, "bin/tool"), strings.Repeat("tool", 5000), 0o755|os.ModeSetuid)
	write(t, filepath.Join(second, "etc/a file"), "two\n", 0o600)
	for _, err := range []error{
		os.Symlink("/etc/passwd", filepath.Join(first, "link")),
		os.Link(filepath.Join(first, "bin/tool"), filepath.Join(first, "bin/same")),
		os.Mkdir(filepath.Join(first, "closed"), 0o555),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}

func debugfsSays(t testing.TB, path, request string) string {
	t.Helper()
	return output(t, "debugfs", "-R", request, path)
}

func TestMakeExt(t *testing.T) {
	first, second := tree(t)
	cases := map[string][]Copy{
		"empty":  nil,
		"direct": {{Source: first, Target: "/"}},
		"merged": {{Source: first, Target: "/"}, {Source: second, Target: "/"}, {Source: filepath.Join(second, "etc/a file"), Target: "/var/lib/single"}},
	}
	for name, copies := range cases {
		t.Run(name, func(t *testing.T) {
			path := must(t, 32*disk.MiB, Filesystem{
				Format: "ext4", Label: "ein sehr langer Name", UUID: testUUID, SectorSize: 4096, CopyFiles: copies, TempDir: t.TempDir(),
			})
			output(t, "e2fsck", "-f", "-n", path)
			if got := blkid(t, path, "UUID"); got != testUUID.String() {
				t.Errorf("UUID %s, want %s", got, testUUID)
			}
			if got := blkid(t, path, "LABEL"); got != "ein sehr langer" {
				t.Errorf("label %q", got)
			}
			if got := blkid(t, path, "BLOCK_SIZE"); got != "4096" {
				t.Errorf("block size %s", got)
			}
			if root := debugfsSays(t, path, "stat <2>"); !strings.Contains(root, "Mode:  0755") || !strings.Contains(root, "User:     0   Group:     0") {
				t.Errorf("the root directory:\n%s", root)
			}
			if len(copies) > 0 {
				checkTree(t, path, name == "merged")
			}
		})
	}
}

// checkTree asks debugfs for what tree made.
func checkTree(t *testing.T, path string, merged bool) {
	t.Helper()
	want := "one\n"
	if merged {
		want = "two\n"
		if got := debugfsSays(t, path, "cat /var/lib/single"); !strings.HasSuffix(got, want) {
			t.Errorf("/var/lib/single holds %q", got)
		}
	}
	if got := debugfsSays(t, path, `cat "/etc/a file"`); !strings.HasSuffix(got, want) {
		t.Errorf("/etc/a file holds %q, want %q", got, want)
	}
	if got := debugfsSays(t, path, "stat /bin/same"); !strings.Contains(got, "Mode:  04755") || !strings.Contains(got, "Links: 2") {
		t.Errorf("hard link or set-user-ID bit lost:\n%s", got)
	}
	if got := debugfsSays(t, path, "stat /link"); !strings.Contains(got, `Fast link dest: "/etc/passwd"`) {
		t.Errorf("symbolic link lost:\n%s", got)
	}
	if got := debugfsSays(t, path, "stat /closed"); !strings.Contains(got, "Mode:  0555") {
		t.Errorf("mode of a directory lost:\n%s", got)
	}
}

func TestMakeIsReproducible(t *testing.T) {
	first, second := tree(t)
	for _, format := range []string{"ext4", "vfat", "swap"} {
		t.Run(format, func(t *testing.T) {
			fs := Filesystem{Format: format, Label: "SAME", UUID: testUUID, Epoch: &testEpoch, TempDir: t.TempDir()}
			switch format {
			case "ext4":
				fs.CopyFiles = []Copy{{Source: first, Target: "/"}, {Source: second, Target: "/opt"}}
			case "vfat":
				fs.CopyFiles = []Copy{{Source: second, Target: "/"}}
			}
			one := must(t, 36*disk.MiB, fs)
			time.Sleep(2100 * time.Millisecond) // more than a FAT time stamp's step
			two := must(t, 36*disk.MiB, fs)
			a, _ := os.ReadFile(one)
			b, _ := os.ReadFile(two)
			if len(a) == 0 || !bytes.Equal(a, b) {
				t.Error("two runs differ")
			}
		})
	}
}

// Without root, files keep the owners of their sources, which staging cannot give.
// Make runs in a process of user 65534, as on a build host without root.
func TestOwnersWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make files of several owners")
	}
	dir := forNobody(t)
	first, _ := tree(t)
	if err := os.Lchown(filepath.Join(first, `etc/quote"s`), 1234, 70000); err != nil {
		t.Fatal(err)
	}
	output(t, "cp", "-a", first, filepath.Join(dir, "src"))
	output(t, "chmod", "-R", "a+rX", filepath.Join(dir, "src"))
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run", "^TestAsNobody$")
	cmd.Env = append(os.Environ(), "SEALPART_MKFS_NOBODY="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
	image := filepath.Join(dir, "image")
	output(t, "e2fsck", "-f", "-n", image)
	for request, want := range map[string]string{
		`stat "/new/etc/quote""s"`: "User:  1234   Group: 70000",
		`stat /new/bin/same`:       "User:     0   Group:     0",
		`stat /new`:                "User:     0   Group:     0",
	} {
		if got := debugfsSays(t, image, request); !strings.Contains(got, want) {
			t.Errorf("%s: want %s\n%s", request, want, got)
		}
	}
}

// forNobody makes a directory that user 65534 reaches and writes to, with this test
// program and an empty image in it.
func forNobody(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sealpart-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	output(t, "chmod", "1777", dir)
	output(t, "cp", "/proc/"+strconv.Itoa(os.Getpid())+"/exe", filepath.Join(dir, "test"))
	output(t, "truncate", "-s", "16M", filepath.Join(dir, "image"))
	output(t, "chown", "65534:65534", filepath.Join(dir, "image"))
	return dir
}

func TestAsNobody(t *testing.T) {
	dir := os.Getenv("SEALPART_MKFS_NOBODY")
	if dir == "" {
		t.Skip("the other process of TestOwnersWithoutRoot")
	}
	err := Make(t.Context(), filepath.Join(dir, "image"), Filesystem{
		Format: "ext4", UUID: testUUID, CopyFiles: []Copy{{Source: filepath.Join(dir, "src"), Target: "/new"}}, TempDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A link brought by one source must not lead another out of the new file system.
func TestStageStaysInside(t *testing.T) {
	outside, src, more := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(more, "file"), "x", 0o644)
	if err := os.Symlink(outside, filepath.Join(src, "etc")); err != nil {
		t.Fatal(err)
	}
	path := sparse(t, 8*disk.MiB)
	err := Make(t.Context(), path, Filesystem{Format: "ext4", CopyFiles: []Copy{{Source: src, Target: "/"}, {Source: filepath.Join(more, "file"), Target: "/etc/file"}}})
	if err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
		t.Errorf("a file went through a link to another place: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err == nil {
		t.Error("a file was written outside the staging directory")
	}
}

func TestMakeRefuses(t *testing.T) {
	testenv.Need(t, "mkfs.ext4")
	src := t.TempDir()
	write(t, filepath.Join(src, "large"), strings.Repeat("0123456789abcdef", 1<<20), 0o644)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx  context.Context
		fs   Filesystem
		want string
	}{
		"format":   {t.Context(), Filesystem{Format: "reiserfs"}, `"reiserfs"`},
		"missing":  {t.Context(), Filesystem{Format: "ext4", CopyFiles: []Copy{{Source: "/no/such", Target: "/"}}}, "/no/such"},
		"relative": {t.Context(), Filesystem{Format: "ext4", CopyFiles: []Copy{{Source: src, Target: "x"}}}, "not an absolute path"},
		"no room":  {t.Context(), Filesystem{Format: "ext4", CopyFiles: []Copy{{Source: src, Target: "/"}}}, "mkfs.ext4 failed"},
		"swap":     {t.Context(), Filesystem{Format: "swap", CopyFiles: []Copy{{Source: src, Target: "/"}}}, "swap"},
		"sector":   {t.Context(), Filesystem{Format: "ext4", SectorSize: 8192}, "8192"},
		"canceled": {canceled, Filesystem{Format: "ext4"}, "canceled"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := Make(c.ctx, sparse(t, 8*disk.MiB), c.fs)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// pattern returns n bytes that are the same on each run.
func pattern(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}
