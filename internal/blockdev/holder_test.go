package blockdev_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/testenv"
	"golang.org/x/sys/unix"
)

// TestBlockDevice: measures, discard and growth of a real one.
func TestBlockDevice(t *testing.T) {
	path := image(t, 1<<20)
	loop := attach(t, path, "-b", "4096")
	f := open(t, loop, true)
	if f.Size() != 1<<20 || f.SectorSize() != 4096 || !f.IsBlockDevice() {
		t.Errorf("size %d, sectors %d, block device %v", f.Size(), f.SectorSize(), f.IsBlockDevice())
	}
	if err := f.Grow(1 << 21); err == nil || err.Error() != loop+" is a block device and cannot grow" {
		t.Errorf("grow: %v", err)
	}
	// Only sectors 2 and 3 lie wholly inside.
	if err := f.Discard(disk.Extent{Offset: 4097, Size: 4*4096 - 4097 + 4095}); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(disk.Extent{Offset: 1, Size: 4095}); err != nil {
		t.Errorf("less than a sector: %v", err)
	}
	want := bytes.Repeat([]byte{0x5a}, 1<<20)
	clear(want[2*4096 : 4*4096])
	got := make([]byte, 1<<20)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not two sectors dropped (%v)", err)
	}
	if _, err := f.WriteAt([]byte("x"), 1<<20-1); err != nil {
		t.Error(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
}

// TestPartitionLocksDisk: who opens a partition has the disk's lock too.
func TestPartitionLocksDisk(t *testing.T) {
	loop := attach(t, image(t, 1<<20), "-P")
	addPartition(t, loop, 2, 64, 128)
	part := open(t, loop+"p2", true)
	if part.Size() != 128*512 {
		t.Errorf("size %d", part.Size())
	}
	whole, err := os.Open(loop)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	if err := unix.Flock(int(whole.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("the disk's lock: %v", err)
	}
}

// addPartition makes the kernel see a partition, in sectors of 512 bytes.
func addPartition(t *testing.T, loop string, number, start, size int) {
	t.Helper()
	run(t, "addpart", loop, strconv.Itoa(number), strconv.Itoa(start), strconv.Itoa(size))
}

// TestHolders: mounts, swap space, devices above and loop devices, each with the
// bytes that it holds.
func TestHolders(t *testing.T) {
	path := image(t, 4<<20)
	if holders, err := open(t, path, false).Holders(); err != nil || len(holders) != 0 {
		t.Errorf("a file that nobody uses: %v, %v", holders, err)
	}
	loop := attach(t, path, "-P")
	f := open(t, path, false)
	if got := list(t, f); got != path+" is attached to "+loop {
		t.Errorf("a file behind a loop device: %s", got)
	}
	addPartition(t, loop, 1, 64, 2048)
	addPartition(t, loop, 2, 4096, 2048)
	dev := open(t, loop, false)
	if got := list(t, dev); got != "" {
		t.Errorf("nothing in use: %s", got)
	}
	point := filepath.Join(t.TempDir(), "a mount point")
	if err := os.Mkdir(point, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", loop+"p2")
	run(t, "mount", loop+"p2", point)
	t.Cleanup(func() { _ = exec.Command("umount", point).Run() })
	name := filepath.Base(loop)
	if got, want := list(t, dev), name+"p2 is mounted at "+point; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	holders, err := dev.Holders()
	if err != nil || len(holders) != 1 || holders[0].Kind != blockdev.Mounted || holders[0].Extent != (disk.Extent{Offset: 2 << 20, Size: 1 << 20}) {
		t.Errorf("%+v, %v", holders, err)
	}
	run(t, "umount", point)
	run(t, "mkswap", "-q", loop+"p1")
	if err := exec.Command(testenv.Need(t, "swapon"), loop+"p1").Run(); err != nil {
		t.Logf("no swap here: %v", err)
		return
	}
	t.Cleanup(func() { _ = exec.Command("swapoff", loop+"p1").Run() })
	if got := list(t, dev); got != name+"p1 is active swap space" {
		t.Errorf("swap: %s", got)
	}
	run(t, "swapoff", loop+"p1")
	if got := list(t, dev); got != "" {
		t.Errorf("nothing in use any more: %s", got)
	}
}

// list writes the holders of f.
func list(t *testing.T, f *blockdev.File) string {
	t.Helper()
	holders, err := f.Holders()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, h := range holders {
		lines = append(lines, h.String())
	}
	return strings.Join(lines, "\n")
}
