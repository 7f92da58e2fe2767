package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpart/sealpart/disk"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// rewritePiece is read and written back at a time, rewriters pieces at once: while
// one waits to be written, others are read.
const (
	rewritePiece = disk.MiB
	rewriters    = 4
)

// plainRewrite returns what a disk does at best: it reads a file of size bytes and
// writes it back, both at once, past the cache, without any commit but one sync at
// the end.
func plainRewrite(t testing.TB, dir string, size disk.Bytes) func(testing.TB) sample {
	path := filepath.Join(dir, "theirs")
	randomFile(t, path, size)
	return func(t testing.TB) sample {
		settle(t, path)
		file, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
		check(t, err)
		defer file.Close()
		memory, err := unix.Mmap(-1, 0, int(rewriters*rewritePiece), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		check(t, err)
		defer func() { _ = unix.Munmap(memory) }()
		start := time.Now()
		var group errgroup.Group
		for i := range rewriters {
			buf := memory[disk.Bytes(i)*rewritePiece:][:rewritePiece]
			group.Go(func() error { return rewrite(file, buf, disk.Bytes(i)*rewritePiece, size) })
		}
		check(t, group.Wait())
		check(t, file.Sync())
		return sample{seconds: time.Since(start).Seconds()}
	}
}

// rewrite does every rewriters-th piece from first on.
func rewrite(file *os.File, buf []byte, first, size disk.Bytes) error {
	for at := first; at < size; at += rewriters * rewritePiece {
		if _, err := file.ReadAt(buf, int64(at)); err != nil {
			return err
		}
		if _, err := file.WriteAt(buf, int64(at)); err != nil {
			return err
		}
	}
	return nil
}
