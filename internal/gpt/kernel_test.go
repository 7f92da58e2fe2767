package gpt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"golang.org/x/sys/unix"
)

// attach puts an image behind a loop device, which goes when the test ends.
func attach(t *testing.T, path string, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	loop := strings.TrimSpace(run(t, "", "losetup", append(options, "--find", "--show", path)...))
	t.Cleanup(func() { run(t, "", "losetup", "-d", loop) })
	return loop
}

// open opens a device for writing.
func open(t *testing.T, path string) *blockdev.File {
	t.Helper()
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// TestSectors4096: sfdisk and we read each other's tables on a disk with sectors of
// 4096 bytes, and an image of it tells its sector size.
func TestSectors4096(t *testing.T) {
	path := blank(t, 20*disk.MiB)
	loop := attach(t, path, "-b", "4096")
	run(t, strings.ReplaceAll(small, "start=", "start=3"), "sfdisk", "-q", "--no-reread", "--no-tell-kernel", loop)
	run(t, "", "blockdev", "--flushbufs", loop)
	theirs := load(t, path)
	s := read(t, theirs)
	if s.SectorSize != 4096 || len(s.Entries) != 5 || s.Entries[0].Extent != (disk.Extent{Offset: 340 * 4096, Size: 8 * 4096}) || len(s.Warnings) != 0 {
		t.Errorf("read: %+v, %q", s, s.Warnings)
	}
	dev := open(t, loop)
	fresh, err := gpt.New(dev.Size(), dev.SectorSize(), s.Table.GUID)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Table != s.Table {
		t.Errorf("our new table is %+v, sfdisk's %+v", fresh.Table, s.Table)
	}
	writes, err := fresh.Writes(fresh.Table, s.Entries, dev.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	run(t, "", "blockdev", "--flushbufs", loop)
	if !bytes.Equal(load(t, path), theirs) {
		t.Error("our table differs from sfdisk's")
	}
	_, err = gpt.Read(bytes.NewReader(theirs), 20*disk.MiB, 512)
	checkUnsupported(t, err, "it was made for sectors of 4096 bytes, and the disk has sectors of 512")
}

// kernelParts is what the kernel knows of a loop device's partitions, in sectors.
func kernelParts(t *testing.T, loop string) string {
	t.Helper()
	name := filepath.Base(loop)
	dirs, err := filepath.Glob("/sys/block/" + name + "/" + name + "p*")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, dir := range dirs {
		start, _ := os.ReadFile(dir + "/start")
		size, _ := os.ReadFile(dir + "/size")
		parts = append(parts, fmt.Sprintf("%s:%s+%s", strings.TrimPrefix(filepath.Base(dir), name+"p"), bytes.TrimSpace(start), bytes.TrimSpace(size)))
	}
	return strings.Join(parts, " ")
}

// TestTellKernel: partitions come, grow and go, also while one of them is in use.
func TestTellKernel(t *testing.T) {
	loop := attach(t, blank(t, 20*disk.MiB), "-P")
	dev := open(t, loop)
	one, two, three := entryOf(1, 2048, 2048, ""), entryOf(2, 8192, 2048, ""), entryOf(3, 16384, 2048, "")
	tell := func(before, after []disk.Entry, want string) error {
		t.Helper()
		err := gpt.TellKernel(dev.Fd(), before, after, 512)
		if got := kernelParts(t, loop); got != want {
			t.Fatalf("the kernel has %q, want %q (%v)", got, want, err)
		}
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tell(nil, []disk.Entry{one, two}, "1:2048+2048 2:8192+2048"))
	must(tell(nil, []disk.Entry{one, two}, "1:2048+2048 2:8192+2048")) // udev was faster

	held, err := os.OpenFile(loop+"p1", os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	longer := one
	longer.Size *= 2
	must(tell([]disk.Entry{one, two}, []disk.Entry{longer, two, three}, "1:2048+4096 2:8192+2048 3:16384+2048"))
	err = tell([]disk.Entry{longer, two, three}, []disk.Entry{three}, "1:2048+4096 3:16384+2048")
	if err == nil || err.Error() != "remove partition 1: device or resource busy" {
		t.Errorf("removal of a partition in use: %v", err)
	}
	moved := three
	moved.Offset += disk.MiB
	must(tell([]disk.Entry{three}, []disk.Entry{moved}, "1:2048+4096 3:18432+2048"))
	must(tell([]disk.Entry{two, moved}, []disk.Entry{moved}, "1:2048+4096 3:18432+2048")) // 2 is gone already
	stale := one
	stale.Offset += 4096 // the table says so, and the kernel never heard of it
	grown := stale
	grown.Size += 4096
	err = tell([]disk.Entry{stale, moved}, []disk.Entry{grown, moved}, "1:2048+4096 3:18432+2048")
	if err == nil || err.Error() != "resize partition 1: device or resource busy" {
		t.Errorf("a partition in use that the kernel has elsewhere: %v", err)
	}
	must(held.Close())
	must(tell([]disk.Entry{stale, moved}, []disk.Entry{grown, moved}, "1:2056+2056 3:18432+2048"))
	must(tell([]disk.Entry{one}, []disk.Entry{one, two}, "1:2048+2048 2:8192+2048")) // of another image: what it left goes
	if err := gpt.TellKernel(dev.Fd(), nil, []disk.Entry{two}, 4096); err == nil || err.Error() != "the table is for sectors of 4096 bytes, and the kernel uses 512 on this disk" {
		t.Errorf("other sectors: %v", err)
	}
}

// TestTellKernelNothing: an image file, and a loop device without partitions.
func TestTellKernelNothing(t *testing.T) {
	path := blank(t, disk.MiB)
	dev := open(t, path)
	entries := []disk.Entry{entryOf(1, 40, 8, "")}
	if err := gpt.TellKernel(dev.Fd(), nil, entries, 512); err != nil {
		t.Errorf("image file: %v", err)
	}
	loop := attach(t, path)
	if parts := kernelParts(t, loop); parts != "" {
		t.Skipf("this kernel scans loop devices always: %s", parts)
	}
	dev = open(t, loop)
	for _, left := range []string{"", "1", "2"} { // by a program that told the kernel of them
		if left != "" {
			run(t, "", "addpart", loop, left, "40", "8")
		}
		if err := gpt.TellKernel(dev.Fd(), nil, entries, 512); err != nil {
			t.Errorf("loop device without partitions: %v", err)
		}
		if parts := kernelParts(t, loop); parts != "" {
			t.Errorf("a loop device without partition scanning has %q", parts)
		}
	}
}

// TestBlkidReads: libblkid, by which udev names partitions, finds those of a table
// that we made.
func TestBlkidReads(t *testing.T) {
	path := blank(t, 20*disk.MiB)
	dev := open(t, path)
	s, err := gpt.New(dev.Size(), 512, uuid.UUID{1})
	if err != nil {
		t.Fatal(err)
	}
	writes, err := s.Writes(s.Table, []disk.Entry{entryOf(1, 2048, 2048, "a"), entryOf(7, 8192, 4096, "b")}, dev.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	out := run(t, "", "partx", "-g", "-r", "-o", "NR,START,SECTORS,NAME,UUID", path)
	want := "1 2048 2048 a bb000000-0000-0000-0000-000000000001\n7 8192 4096 b bb000000-0000-0000-0000-000000000007\n"
	if out != want {
		t.Errorf("partx reads\n%swant\n%s", out, want)
	}
}
