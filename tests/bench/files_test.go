package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// A place is where the files of a row lie.
type place string

const (
	memory  place = "tmpfs"
	storage place = "the disk"
)

// dir makes a folder in the place, with room for need bytes.
func (p place) dir(t testing.TB, need disk.Bytes) string {
	t.Helper()
	if p == storage {
		return t.TempDir()
	}
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil || disk.Bytes(stat.Bavail)*disk.Bytes(stat.Bsize) < need {
		t.Skipf("no room for %s in /dev/shm: %v", need, err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "sealpart-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// randomFile makes a file in which every block is allocated.
func randomFile(t testing.TB, path string, size disk.Bytes) {
	t.Helper()
	file, err := os.Create(path)
	check(t, err)
	defer file.Close()
	source, buf := rand.NewChaCha8([32]byte{1}), make([]byte, disk.MiB)
	for at := disk.Bytes(0); at < size; at += disk.MiB {
		_, _ = source.Read(buf) // never fails
		_, err := file.Write(buf[:min(disk.MiB, size-at)])
		check(t, err)
	}
}

// emptyFile makes a file that is one hole.
func emptyFile(t testing.TB, path string, size disk.Bytes) {
	t.Helper()
	check(t, os.WriteFile(path, nil, 0o600))
	check(t, os.Truncate(path, int64(size)))
}

// settle makes what was written durable and forgets what the cache holds of it.
func settle(t testing.TB, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer file.Close()
	check(t, file.Sync())
	check(t, unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// partitions writes a GPT. Each line is one of sfdisk's.
func partitions(t testing.TB, image string, lines ...string) {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, "sfdisk"), "-q", "--wipe", "never", "--wipe-partitions", "never", image)
	cmd.Stdin = strings.NewReader("label: gpt\n" + strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
}

// zero overwrites the start of a range, where signatures are.
func zero(t testing.TB, path string, from, size disk.Bytes) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer file.Close()
	buf := make([]byte, disk.MiB)
	for at := disk.Bytes(0); at < size; at += disk.MiB {
		_, err := file.WriteAt(buf, int64(from+at))
		check(t, err)
	}
}

// magic reports whether LUKS2 starts at a place.
func magic(t testing.TB, path string, at disk.Bytes) bool {
	t.Helper()
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()
	buf := make([]byte, 8)
	_, err = file.ReadAt(buf, int64(at))
	check(t, err)
	return string(buf) == "LUKS\xba\xbe\x00\x02"
}

// definitionsDir writes definitions, each with the number of its place.
func definitionsDir(t testing.TB, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.toml", i)), []byte(text), 0o600))
	}
	return dir
}

// keyFile makes a random key file.
func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	randomFile(t, path, 64)
	return path
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
