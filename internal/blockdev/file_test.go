package blockdev_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// image makes a file of size bytes, each 0x5a.
func image(t *testing.T, size disk.Bytes) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk image")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0x5a}, int(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens path; it is closed when the test ends.
func open(t *testing.T, path string, write bool) *blockdev.File {
	t.Helper()
	f, err := blockdev.Open(path, blockdev.OpenOptions{Write: write})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// run runs a tool and returns what it says.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Need(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// attach puts an image behind a loop device, which goes when the test ends.
func attach(t *testing.T, path string, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	loop := run(t, "losetup", append(options, "--find", "--show", path)...)
	t.Cleanup(func() { run(t, "losetup", "-d", loop) })
	return loop
}

func TestImageFile(t *testing.T) {
	path := image(t, 8192)
	f := open(t, path, true)
	if f.Size() != 8192 || f.SectorSize() != 0 || f.IsBlockDevice() || f.Name() != path {
		t.Errorf("size %d, sectors %d, block device %v, name %s", f.Size(), f.SectorSize(), f.IsBlockDevice(), f.Name())
	}
	if n, err := f.WriteAt([]byte("hello"), 8192-5); n != 5 || err != nil {
		t.Errorf("write at the end: %d, %v", n, err)
	}
	for _, off := range []int64{-1, 8192 - 4, 8192, 1 << 62} {
		if n, err := f.WriteAt([]byte("hello"), off); n != 0 || err == nil || !strings.Contains(err.Error(), "beyond its end at 8192") {
			t.Errorf("write at %d: %d, %v", off, n, err)
		}
	}
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 8192-5); n != 5 || !errors.Is(err, io.EOF) || string(buf[:5]) != "hello" {
		t.Errorf("read over the end: %d %q, %v", n, buf, err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 8192 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// TestReadOnly: the descriptor itself cannot write.
func TestReadOnly(t *testing.T) {
	path := image(t, 4096)
	f := open(t, path, false)
	if _, err := f.WriteAt([]byte{0}, 0); err == nil || !strings.Contains(err.Error(), "bad file descriptor") {
		t.Errorf("a write: %v", err)
	}
	if err := f.Discard(disk.Extent{Size: 4096}); err == nil || !strings.Contains(err.Error(), "discard 4096 bytes at 0: bad file descriptor") {
		t.Errorf("a discard: %v", err)
	}
	if err := f.Grow(8192); err == nil || !strings.Contains(err.Error(), "invalid argument") || f.Size() != 4096 {
		t.Errorf("a file that grew: %v", err)
	}
	flags, err := unix.FcntlInt(uintptr(f.Fd()), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{0x5a}, 4096)) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestGrow(t *testing.T) {
	f := open(t, image(t, 4096), true)
	if err := f.Grow(4095); err == nil || !strings.Contains(err.Error(), "has 4096 bytes and is never cut to 4095") {
		t.Errorf("smaller: %v", err)
	}
	if err := f.Grow(1 << 20); err != nil || f.Size() != 1<<20 {
		t.Errorf("larger: %v, size %d", err, f.Size())
	}
	buf := make([]byte, 4096)
	if n, err := f.ReadAt(buf, 1<<20-4096); n != 4096 || err != nil || !bytes.Equal(buf, make([]byte, 4096)) {
		t.Errorf("the new end: %d, %v", n, err)
	}
}

// TestCutShort: a file that becomes shorter under us is no end of file but an error.
func TestCutShort(t *testing.T) {
	path := image(t, 8192)
	f := open(t, path, true)
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadAt(make([]byte, 8192), 0); n != 4096 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestDiscardFile(t *testing.T) {
	path := image(t, 1<<20)
	f := open(t, path, true)
	if err := f.Discard(disk.Extent{Offset: 4096, Size: 1<<19 - 1}); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(disk.Extent{Offset: 0, Size: 0}); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	for _, e := range []disk.Extent{{Offset: -1, Size: 1}, {Offset: 0, Size: -1}, {Offset: 1, Size: 1 << 20}, {Offset: 1 << 62, Size: 1 << 62}} {
		if err := f.Discard(e); err == nil || !strings.Contains(err.Error(), "is beyond its end at 1048576") {
			t.Errorf("of %+v: %v", e, err)
		}
	}
	want := bytes.Repeat([]byte{0x5a}, 1<<20)
	clear(want[4096 : 4096+1<<19-1])
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not a hole in the middle (%v)", err)
	}
}

func TestNoDisk(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:         dir + " is a directory, not an image file or block device",
		fifo:        fifo + " is a FIFO, not an image file or block device",
		"/dev/null": "/dev/null is a character device, not an image file or block device",
		link:        link + " is a character device, not an image file or block device",
		dir + "/no": "stat " + dir + "/no: no such file or directory",
	} {
		if _, err := blockdev.Open(path, blockdev.OpenOptions{}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestLock: one writer, or any number of readers; others are told who is there.
func TestLock(t *testing.T) {
	path := image(t, 4096)
	first := open(t, path, false)
	open(t, path, false)
	_, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	me := fmt.Sprintf("blockdev.test (process %d)", os.Getpid())
	if err == nil || !strings.Contains(err.Error(), "is locked by ") || !strings.Contains(err.Error(), me) {
		t.Errorf("a writer beside readers: %v, want %s", err, me)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// TestLockWaits: a lock that is given back in time is waited for, as udev's are.
func TestLockWaits(t *testing.T) {
	path := image(t, 4096)
	cmd := exec.Command(testenv.Need(t, "flock"), path, "-c", "echo held; read x; sleep 0.2")
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	stdin.Close() // it goes in a moment
	open(t, path, true)
	_ = cmd.Wait() // its script may end either way
}
