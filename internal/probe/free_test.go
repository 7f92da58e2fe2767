package probe

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/testenv"
)

// A disk with free space before, between and behind two partitions.
const (
	freeDisk   = 96 * disk.MiB
	freeLayout = "label: gpt\nfirst-lba: 34\nstart=32768, size=32768, type=linux\nstart=98304, size=32768, type=linux\n"
)

var (
	frontArea  = disk.Extent{Offset: 34 * 512, Size: 16*disk.MiB - 34*512}
	middleArea = disk.Extent{Offset: 32 * disk.MiB, Size: 16 * disk.MiB}
	lastArea   = disk.Extent{Offset: 64 * disk.MiB, Size: 32*disk.MiB - 33*512}
)

// occupiedBy returns what is found in the free space of that disk, with texts in some places.
func occupiedBy(t *testing.T, texts map[disk.Bytes]string) []disk.Occupied {
	t.Helper()
	image := sfdisked(t, freeDisk, freeLayout)
	for at, text := range texts {
		copy(image[at:], text)
	}
	return snapshotOf(t, image).Occupied
}

// TestOccupied: free space in which something lies is not free, and what lies there is named.
func TestOccupied(t *testing.T) {
	ones := string(bytes.Repeat([]byte{0xff}, 8192))
	ext := string(anExt4(t))
	held := func(area disk.Extent, at disk.Bytes, kind string) []disk.Occupied {
		return []disk.Occupied{{Extent: area, Found: disk.Trailing{Offset: at, Kind: kind}}}
	}
	for name, test := range map[string]struct {
		texts map[disk.Bytes]string
		want  []disk.Occupied
	}{
		"nothing":                  {nil, nil},
		"erased flash":             {map[disk.Bytes]string{disk.MiB: ones, 32 * disk.MiB: ones}, nil},
		"flash that is not erased": {map[disk.Bytes]string{disk.MiB: ones[:4095] + "x"}, held(frontArea, disk.MiB+7*512, "")},
		"Rockchip":                 {map[disk.Bytes]string{64 * 512: "RKNS"}, held(frontArea, 64*512, "a boot loader (Rockchip)")},
		"Allwinner":                {map[disk.Bytes]string{256*512 + 4: "eGON.BT0"}, held(frontArea, 256*512, "a boot loader (Allwinner)")},
		"a byte in front":          {map[disk.Bytes]string{10*disk.MiB + 700: "x"}, held(frontArea, 10*disk.MiB+512, "")},
		"behind a partition":       {map[disk.Bytes]string{32 * disk.MiB: "x"}, held(middleArea, 32*disk.MiB, "")},
		"before a partition":       {map[disk.Bytes]string{48*disk.MiB - 1: "x"}, held(middleArea, 48*disk.MiB-512, "")},
		"a partition that is gone": {map[disk.Bytes]string{64 * disk.MiB: ext}, held(lastArea, 64*disk.MiB, "ext4")},
		"in the middle of much":    {map[disk.Bytes]string{80*disk.MiB + 5000: "x"}, nil},
		"at a MiB of much":         {map[disk.Bytes]string{80*disk.MiB + 600: "x"}, held(lastArea, 80*disk.MiB+512, "")},
		"one of several gone":      {map[disk.Bytes]string{70 * disk.MiB: ext}, held(lastArea, 70*disk.MiB, "ext4")},
		"two areas": {map[disk.Bytes]string{disk.MiB: "x", 64 * disk.MiB: "x"},
			append(held(frontArea, disk.MiB, ""), held(lastArea, 64*disk.MiB, "")...)},
	} {
		if d := cmp.Diff(test.want, occupiedBy(t, test.texts)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestOccupiedSignature: copies of signatures count between the ends, too: one of btrfs lies at
// 64 MiB of what was its partition.
func TestOccupiedSignature(t *testing.T) {
	image := sfdisked(t, 160*disk.MiB, "label: gpt\nstart=2048, size=3072, type=linux\n")
	const start = 2*disk.MiB + disk.MiB/2 // so that the copy does not lie where a partition may begin
	copy(image[start+64*disk.MiB+64:], "_BHRfS_M")
	want := []disk.Occupied{{Extent: disk.Extent{Offset: start, Size: 160*disk.MiB - start - 33*512}, Found: disk.Trailing{Offset: start + 64*disk.MiB + 64}}}
	if d := cmp.Diff(want, snapshotOf(t, image).Occupied); d != "" {
		t.Error(d)
	}
}

// TestOwnSpace: the backup table of a disk that has grown, and what an earlier run of ours
// claimed, are nothing that lies in free space.
func TestOwnSpace(t *testing.T) {
	image := append(sfdisked(t, freeDisk, freeLayout), make([]byte, 32*disk.MiB)...)
	if found := snapshotOf(t, image).Occupied; found != nil {
		t.Errorf("a disk that has grown: %+v", found)
	}
	dev := simdev.New(image)
	state, err := gpt.Read(dev, dev.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Apply(dev, state.Claim([]disk.Extent{{Offset: 36 * disk.MiB, Size: 4 * disk.MiB}, {Offset: 32 * disk.MiB, Size: disk.MiB}})); err != nil {
		t.Fatal(err)
	}
	image = dev.Bytes()
	copy(image[32*disk.MiB:], "ours")
	copy(image[36*disk.MiB:], anExt4(t))
	if found := snapshotOf(t, image).Occupied; found != nil {
		t.Errorf("what was claimed: %+v", found)
	}
	copy(image[48*disk.MiB-512:], "beyond")
	if found := snapshotOf(t, image).Occupied; len(found) != 1 || found[0].Found.Offset != 48*disk.MiB-512 {
		t.Errorf("beyond what was claimed: %+v", found)
	}
}

// TestMovedBackup: sfdisk moves the backup table of a disk that has grown, and what it leaves of
// the old one is nobody's. What is not this table's is named.
func TestMovedBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, append(sfdisked(t, freeDisk, freeLayout), make([]byte, disk.MiB/2)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testenv.Need(t, "sfdisk"), "-q", "--relocate", "gpt-bak-std", path).CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const array = freeDisk - 33*512
	if bytes.Equal(image[array:array+512], make([]byte, 512)) {
		t.Fatal("sfdisk has left nothing")
	}
	if found := snapshotOf(t, image).Occupied; found != nil {
		t.Errorf("what sfdisk left: %+v", found)
	}
	copy(image[array+16:], "somebody else's!") // the GUID of its first entry
	if found := snapshotOf(t, image).Occupied; len(found) != 1 || found[0].Found.Offset != array {
		t.Errorf("an entry of no partition: %+v", found)
	}
}

// TestOccupiedIsBounded: of a disk with terabytes free little is read.
func TestOccupiedIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	layout(t, path, 4<<40, "label: gpt\nstart=2048, size=2048, type=linux\nstart=4294967296, size=2048, type=linux\n")
	file, err := blockdev.Open(path, blockdev.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dev := &counting{Device: file}
	if _, err := Disk(dev, 0); err != nil {
		t.Fatal(err)
	}
	if dev.read > 16<<20 {
		t.Errorf("%d bytes were read", dev.read)
	}
}

// TestPartitionsReadsNoFreeSpace: who takes none of it need not wait for it.
func TestPartitionsReadsNoFreeSpace(t *testing.T) {
	image := sfdisked(t, 96*disk.MiB, "label: gpt\nstart=131072, size=2048, type=linux\n")
	copy(image[40<<20:], "a boot loader")
	dev := &counting{Device: simdev.New(image)}
	unread, err := Partitions(dev, 512)
	if err != nil {
		t.Fatal(err)
	}
	if dev.read > 2<<20 || !unread.FreeUnread || unread.Occupied != nil {
		t.Errorf("%d bytes were read, of free space: %+v", dev.read, unread)
	}
	read := snapshotOf(t, image)
	if read.FreeUnread || len(read.Occupied) != 1 {
		t.Errorf("Disk did not look at free space: %+v", read)
	}
	read.Occupied, unread.FreeUnread = nil, false
	if d := cmp.Diff(read, unread); d != "" {
		t.Errorf("they differ by more (-Disk +Partitions):\n%s", d)
	}
}

// counting is a device that does not know where its holes are, and counts what is read.
type counting struct {
	blockdev.Device
	read int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.read += len(p)
	return c.Device.ReadAt(p, off)
}

// layout makes an image with a partition table.
func layout(t *testing.T, path string, size int64, script string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	sfdisk := exec.Command(testenv.Need(t, "sfdisk"), "-q", path)
	sfdisk.Stdin = strings.NewReader(script)
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
}

// sfdisked returns an image with a partition table.
func sfdisked(t *testing.T, size disk.Bytes, script string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	layout(t, path, int64(size), script)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// snapshotOf returns what is on a disk.
func snapshotOf(t *testing.T, image []byte) disk.Snapshot {
	t.Helper()
	snapshot, err := Disk(simdev.New(image), 512)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// anExt4 returns a small file system.
func anExt4(t *testing.T) []byte {
	t.Helper()
	image, err := os.ReadFile(mkfs(t, 2*disk.MiB, "mke2fs -q -F -t ext4 IMG"))
	if err != nil {
		t.Fatal(err)
	}
	return image
}
