package blockdev_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// memoryFile makes a file of size bytes that lies in memory, and returns a path to it.
func memoryFile(t *testing.T, size int64) string {
	t.Helper()
	fd, err := unix.MemfdCreate("image", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// TestInMemory: what is seen and changed in memory is what is read and written, for
// many goroutines that each have their part of more than is mapped at once.
func TestInMemory(t *testing.T) {
	const size, piece = 100 << 20, 100 << 10
	path := memoryFile(t, size+4321)
	f := open(t, path, true)
	var group sync.WaitGroup
	mapped := make([]int, 4)
	for worker := range mapped {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 2000 {
				e := disk.Extent{Offset: disk.Bytes(rng.IntN(size/piece)/4*4+worker) * piece, Size: disk.Bytes(1 + rng.IntN(piece))}
				if e.End() > size {
					continue
				}
				want := bytes.Repeat([]byte{byte(rng.Uint32())}, int(e.Size))
				done, err := f.InMemory(e, func(p []byte) { copy(p, want) })
				if err != nil {
					t.Error(err)
				}
				if !done {
					continue
				}
				mapped[worker]++
				got := make([]byte, e.Size)
				if _, err := f.ReadAt(got, int64(e.Offset)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%+v: not what was written (%v)", e, err)
				}
			}
		})
	}
	group.Wait()
	for worker, n := range mapped {
		if n < 1000 {
			t.Errorf("worker %d: only %d of 2000 were in memory", worker, n)
		}
	}
	for _, e := range []disk.Extent{{Offset: -1, Size: 1}, {Offset: size, Size: 4322}, {Offset: 1 << 62, Size: 1 << 62}, {Size: -1}, {}} {
		if done, err := f.InMemory(e, func([]byte) { t.Errorf("%+v was looked at", e) }); done || err != nil {
			t.Errorf("%+v: %v, %v", e, done, err)
		}
	}
}

// TestInMemorySection: a part of a device never shows what lies outside of it.
func TestInMemorySection(t *testing.T) {
	f := open(t, memoryFile(t, 1<<20), true)
	s, err := blockdev.NewSection(f, disk.Extent{Offset: 4096, Size: 8192})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.InMemory(disk.Extent{Offset: 100, Size: 8092}, func(p []byte) { copy(p, "here") }); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	got := make([]byte, 4)
	if _, err := f.ReadAt(got, 4196); err != nil || string(got) != "here" {
		t.Errorf("%q, %v", got, err)
	}
	if done, err := s.InMemory(disk.Extent{Offset: 100, Size: 8093}, func([]byte) {}); done || err != nil {
		t.Errorf("beyond the end: %v, %v", done, err)
	}
}

// TestNotInMemory: files of other file systems are read and written.
func TestNotInMemory(t *testing.T) {
	testenv.Need(t, "mkfs.ext4")
	image := image(t, 16<<20)
	point := t.TempDir()
	run(t, "mkfs.ext4", "-q", "-F", image)
	run(t, "mount", "-o", "loop", image, point)
	t.Cleanup(func() { _ = exec.Command("umount", point).Run() })
	path := filepath.Join(point, "file")
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path, true)
	if done, err := f.InMemory(disk.Extent{Size: 4096}, func([]byte) {}); done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryGone: where the memory behind a file cannot be had, that is an error, not
// the end of the program.
func TestMemoryGone(t *testing.T) {
	check := func(t *testing.T, f *blockdev.File, e disk.Extent, use func(p []byte)) {
		t.Helper()
		done, err := f.InMemory(e, use)
		if !done || !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), "became shorter, or its file system has no memory left") {
			t.Errorf("%v, %v", done, err)
		}
	}
	t.Run("shorter", func(t *testing.T) {
		path := memoryFile(t, 1<<20)
		f := open(t, path, true)
		if err := os.Truncate(path, 8192); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 65536)
		check(t, f, disk.Extent{Size: 65536}, func(p []byte) { copy(buf, p) })
		check(t, f, disk.Extent{Size: 65536}, func(p []byte) { copy(p, buf) })
		// What is there can still be had.
		if done, err := f.InMemory(disk.Extent{Size: 8192}, func(p []byte) { clear(p) }); !done || err != nil {
			t.Errorf("%v, %v", done, err)
		}
	})
	t.Run("full", func(t *testing.T) {
		point := t.TempDir()
		run(t, "mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", point)
		t.Cleanup(func() { _ = exec.Command("umount", point).Run() })
		path := filepath.Join(point, "sparse")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 2<<20); err != nil {
			t.Fatal(err)
		}
		f := open(t, path, true)
		check(t, f, disk.Extent{Size: 2 << 20}, func(p []byte) {
			for i := range p {
				p[i] = 1
			}
		})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOtherPanics: what is no fault of memory stays a panic.
func TestOtherPanics(t *testing.T) {
	f := open(t, memoryFile(t, 1<<20), false)
	defer func() {
		if r := recover(); r != "mine" {
			t.Errorf("%v", r)
		}
	}()
	_, _ = f.InMemory(disk.Extent{Size: 4096}, func([]byte) { panic("mine") })
	t.Error("no panic")
}
