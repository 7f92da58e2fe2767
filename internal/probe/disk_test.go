package probe

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/testenv"
)

const table = `label: gpt
label-id: 11111111-2222-3333-4444-555555555555
start=2048, size=32768, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name="root-a"
start=65536, size=32768, type=linux, name="crypt"
start=131072, size=2048, type=linux, name="blank"
`

// labelled returns an image of 80 MiB with the table that sfdisk makes of script.
func labelled(t *testing.T, script string) string {
	t.Helper()
	path := mkfs(t, 80*disk.MiB, "true")
	sfdisk := exec.Command(testenv.Need(t, "sfdisk"), "-q", path)
	sfdisk.Stdin = strings.NewReader(script)
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	return path
}

// aDisk has an ext4, a LUKS2 volume and a blank partition.
func aDisk(t *testing.T) string {
	path := labelled(t, table)
	graft(t, path, 2048*512, mkfs(t, 16*disk.MiB, "mke2fs -q -F -t ext4 -O ^metadata_csum -L one IMG"), 0, 16<<20)
	graft(t, path, 65536*512, mkfs(t, 17*disk.MiB, luksFormat), 0, 16<<20)
	return path
}

// fileDevice is an image file as a device that nothing writes to.
type fileDevice struct {
	*os.File
	size, sectorSize disk.Bytes
}

func (f fileDevice) Size() disk.Bytes          { return f.size }
func (f fileDevice) SectorSize() disk.Bytes    { return f.sectorSize }
func (f fileDevice) Discard(disk.Extent) error { return os.ErrPermission }

// probedDisk returns what we say of an image; deviceSectors is the sector size that
// the device reports, 0 for a file.
func probedDisk(t *testing.T, path string, sectorSize, deviceSectors disk.Bytes) disk.Snapshot {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Disk(fileDevice{file, disk.Bytes(info.Size()), deviceSectors}, sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDisk: the table is sfdisk's, the contents are those of the partitions.
func TestDisk(t *testing.T) {
	path := aDisk(t)
	s := probedDisk(t, path, 0, 0)
	out, err := exec.Command(testenv.Need(t, "sfdisk"), "--json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var judge struct {
		PartitionTable struct {
			Label, ID                     string
			FirstLBA, LastLBA, SectorSize disk.LBA
			Partitions                    []struct {
				Start, Size      disk.LBA
				Type, UUID, Name string
			}
		}
	}
	if err := json.Unmarshal(out, &judge); err != nil {
		t.Fatal(err)
	}
	want := judge.PartitionTable
	if string(s.Table.Kind) != want.Label || !strings.EqualFold(s.Table.GUID.String(), want.ID) || s.SectorSize != disk.Bytes(want.SectorSize) ||
		s.Table.FirstUsable != want.FirstLBA || s.Table.LastUsable != want.LastLBA || s.Size != 80*disk.MiB || len(s.Warnings) > 0 {
		t.Errorf("table is %+v in %+v, sfdisk says %+v", s.Table, s, want)
	}
	kinds := []string{"ext4", "crypto_LUKS", ""}
	for n, w := range want.Partitions {
		p := s.Partitions[n]
		if p.Number != n+1 || p.Offset != w.Start.Offset(512) || p.Size != w.Size.Offset(512) || p.Name != w.Name || !strings.EqualFold(p.UUID.String(), w.UUID) {
			t.Errorf("partition is %+v, sfdisk says %+v", p, w)
		}
		if p.Content.Kind != kinds[n] || p.Content.Problem != "" {
			t.Errorf("content %d is %+v", n, p.Content)
		}
	}
}

// TestJSON: a snapshot survives a file.
func TestJSON(t *testing.T) {
	s := probedDisk(t, aDisk(t), 0, 0)
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back disk.Snapshot
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Errorf("it comes back different:\n%s", diff)
	}
	if s.Fingerprint() != back.Fingerprint() {
		t.Error("it comes back with another fingerprint")
	}
}

// TestFingerprint: it changes with what a plan depends on, and with nothing else.
func TestFingerprint(t *testing.T) {
	path := aDisk(t)
	before := probedDisk(t, path, 0, 0).Fingerprint()
	sgdisk := func(args ...string) func() {
		return func() {
			if out, err := exec.Command(testenv.Need(t, "sgdisk"), append(args, path)...).CombinedOutput(); err != nil {
				t.Fatalf("sgdisk: %v\n%s", err, out)
			}
		}
	}
	const ext4, luks = 2048 * 512, 65536 * 512
	for _, c := range []struct {
		name    string
		change  func()
		changes bool
	}{
		{"nothing", func() {}, false},
		{"data of a file", func() { patch(t, path, ext4+15<<20, []byte("data")) }, false},
		{"time of the last mount", func() { patch(t, path, ext4+1024+44, []byte("1234")) }, false},
		{"data of a blank partition", func() { patch(t, path, 131072*512+4000, []byte("data")) }, false},
		{"backup table damaged", func() { patch(t, path, 80<<20-512, make([]byte, 512)) }, false},
		{"label of a file system", func() { patch(t, path, ext4+1024+120, []byte("two")) }, true},
		{"free blocks", func() { patch(t, path, ext4+1024+12, []byte{1, 2, 0, 0}) }, true},
		{"mounted", func() { patch(t, path, ext4+1024+58, []byte{0}) }, true},
		{"first LUKS2 header lost", func() { patch(t, path, luks, make([]byte, 8)) }, true},
		{"second LUKS2 header lost too", func() { patch(t, path, luks+0x4000, make([]byte, 8)) }, true},
		{"new content", func() { patch(t, path, 131072*512+4086, []byte("SWAPSPACE2")) }, true},
		{"name", sgdisk("-c", "1:root-b"), true},
		{"attribute", sgdisk("-A", "1:set:60"), true},
		{"type", sgdisk("-t", "3:8200"), true},
		{"disk GUID", sgdisk("-U", "99999999-2222-3333-4444-555555555555"), true},
		{"partition removed", sgdisk("-d", "3"), true},
	} {
		c.change()
		after := probedDisk(t, path, 0, 0).Fingerprint()
		if (after != before) != c.changes {
			t.Errorf("%s: changed is %v", c.name, after != before)
		}
		before = after
	}
}

// TestDiskWithoutGPT: every other thing a disk can begin with.
func TestDiskWithoutGPT(t *testing.T) {
	for _, c := range []struct {
		name, command string
		table         disk.TableKind
		content       string
	}{
		{"blank", "true", disk.NoTable, ""},
		{"file system", "mke2fs -q -F -t ext4 IMG", disk.Bare, "ext4"},
		{"FAT", "mkfs.vfat IMG", disk.Bare, "vfat"},
		{"LUKS", luksFormat, disk.Bare, "crypto_LUKS"},
	} {
		path := mkfs(t, 32*disk.MiB, c.command)
		s := probedDisk(t, path, 0, 0)
		if s.Table.Kind != c.table || s.Content.Kind != c.content || s.Content.Problem != "" || s.SectorSize != 512 || len(s.Partitions) > 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s := probedDisk(t, path, 4096, 0); s.Table.Kind != c.table || s.SectorSize != 4096 {
			t.Errorf("%s with 4096: %+v", c.name, s)
		}
	}
}

func TestDiskMBR(t *testing.T) {
	path := labelled(t, "label: dos\nstart=2048, size=32768, type=83\nstart=65536, size=2048, type=c, bootable\n")
	graft(t, path, 2048*512, mkfs(t, 16*disk.MiB, "mke2fs -q -F -t ext4 IMG"), 0, 16<<20)
	s := probedDisk(t, path, 0, 0)
	if s.Table.Kind != disk.MBR || len(s.Partitions) != 2 || s.Partitions[0].Content.Kind != "ext4" || s.Partitions[1].Content.Kind != "" {
		t.Errorf("disk is %+v", s)
	}
}

// TestDiskDamaged: a GPT that cannot be used is never a blank disk.
func TestDiskDamaged(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string)
		kind   string
	}{
		{"both headers", func(path string) {
			patch(t, path, 512+16, []byte("xxxx"))
			patch(t, path, 80<<20-512+16, []byte("xxxx"))
		}, "gpt"},
		{"start overwritten", func(path string) { patch(t, path, 0, make([]byte, 1<<20)) }, "gpt"},
		{"start overwritten by a file system", func(path string) {
			patch(t, path, 0, make([]byte, 1<<20))
			graft(t, path, 0, mkfs(t, 16*disk.MiB, "mke2fs -q -F -t ext4 IMG"), 0, 16<<20)
		}, "ext4"},
	} {
		path := labelled(t, table)
		c.damage(path)
		s := probedDisk(t, path, 0, 0)
		if s.Table.Kind != disk.Bare || s.Content.Kind != c.kind || s.Content.Problem == "" {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// TestDiskOfOtherSectors: the table tells the sector size of an image; a device
// whose sectors are of another size does not have a usable table.
func TestDiskOfOtherSectors(t *testing.T) {
	path := mkfs(t, 80*disk.MiB, "true")
	sfdisk := exec.Command(testenv.Need(t, "sfdisk"), "-q", "--sector-size", "4096", path)
	sfdisk.Stdin = strings.NewReader("label: gpt\nsize=16MiB\n")
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Skipf("sfdisk knows no --sector-size: %s", out)
	}
	if s := probedDisk(t, path, 0, 0); s.SectorSize != 4096 || s.Table.Kind != disk.GPT || s.Partitions[0].Size != 16*disk.MiB {
		t.Errorf("disk is %+v", s)
	}
	if s := probedDisk(t, path, 0, 512); s.Table.Kind != disk.Bare || s.Content.Kind != "gpt" || s.Content.Problem == "" {
		t.Errorf("disk is %+v", s)
	}
}

// TestPartitionBehindEnd: of a disk that was cut, what is still there is seen.
func TestPartitionBehindEnd(t *testing.T) {
	path := labelled(t, "label: dos\nstart=2048, size=32768\nstart=65536, size=32768\n")
	if err := os.Truncate(path, 40<<20); err != nil {
		t.Fatal(err)
	}
	s := probedDisk(t, path, 0, 0)
	if len(s.Partitions) != 2 || s.Partitions[0].Content.Problem != "" || s.Partitions[1].Content.Problem == "" {
		t.Errorf("disk is %s", fmt.Sprint(s.Partitions))
	}
}
