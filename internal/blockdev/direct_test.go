package blockdev_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sys/unix"
)

// pages returns n random bytes that begin with a page.
func pages(t *testing.T, n disk.Bytes, seed byte) []byte {
	t.Helper()
	p, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(p) })
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// TestDirect: what goes past the page cache and what goes through it see each other, in
// any order, for sectors of both sizes; what is askew goes through it.
func TestDirect(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		f := open(t, attach(t, image(t, 4*disk.MiB), "--sector-size", sector), true)
		mirror := make([]byte, f.Size())
		if _, err := f.ReadAt(mirror[1:], 1); err != nil {
			t.Fatal(err)
		}
		large, small := pages(t, 128*disk.KiB, 1), pages(t, 4096, 2)
		got := pages(t, 256*disk.KiB, 3)
		for i, at := range []int64{1 << 20, 1<<20 + 512, 1<<20 + 64<<10, 1<<20 + 3} {
			for _, p := range [][]byte{large, small, large[1:], large[:len(large)-512]} {
				p[0]++ // so that each is another
				if _, err := f.WriteAt(p, at); err != nil {
					t.Fatal(err)
				}
				copy(mirror[at:], p)
				for _, read := range [][]byte{got, got[:1000], got[4096 : 4096+128<<10]} {
					from := max(0, at-int64(512*i))
					if _, err := f.ReadAt(read, from); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(read, mirror[from:from+int64(len(read))]) {
						t.Fatalf("sectors of %s: %d bytes at %d differ after a write of %d at %d", sector, len(read), from, len(p), at)
					}
				}
			}
		}
	}
}

// TestDirectLeavesTheCache: large transfers of a block device put nothing into the page
// cache.
func TestDirectLeavesTheCache(t *testing.T) {
	f := open(t, attach(t, image(t, 4*disk.MiB), "--direct-io=on"), true)
	if _, err := f.WriteAt(pages(t, disk.MiB, 1), 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(pages(t, disk.MiB, 2), 1<<20); err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(f.Fd(), 1<<20, int(disk.MiB), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	if resident(t, m) > 0 {
		t.Errorf("%d pages are cached", resident(t, m))
	}
}

// resident counts the pages of a mapping that are in memory.
func resident(t *testing.T, m []byte) (n int) {
	t.Helper()
	vec := make([]byte, len(m)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}
