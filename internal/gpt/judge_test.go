package gpt_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
	"github.com/sealpart/sealpart/internal/testenv"
)

// linux and esp are two partition types.
var (
	linux = uuid.MustParse("0fc63daf-8483-4772-8e79-3d69d8477de4")
	esp   = uuid.MustParse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
)

// run runs a tool and returns what it says.
func run(t *testing.T, stdin, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, program), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8") // for sgdisk's names
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// blank makes an empty image file.
func blank(t *testing.T, size disk.Bytes) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(size)); err != nil {
		t.Fatal(err)
	}
	return path
}

// three is a script of sfdisk with a gap in the numbers, places out of order,
// and attributes that we do not know.
const three = `label: gpt
label-id: 11111111-2222-3333-4444-555555555555
1 : start=2048, size=2048, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, uuid=aaaaaaaa-0000-0000-0000-000000000001, name="esp"
3 : start=20480, size=4096, type=deadbeef-0000-4000-8000-000000000000, uuid=aaaaaaaa-0000-0000-0000-000000000003, name="x", attrs="RequiredPartition GUID:48,60,63"
4 : start=8192, size=8192, type=0fc63daf-8483-4772-8e79-3d69d8477de4, uuid=aaaaaaaa-0000-0000-0000-000000000004
`

// labelled returns the bytes of a disk that sfdisk has labelled by script.
func labelled(t *testing.T, size disk.Bytes, script string) []byte {
	t.Helper()
	path := blank(t, size)
	run(t, script, "sfdisk", "-q", "--no-reread", "--no-tell-kernel", path)
	return load(t, path)
}

// sampleImage is made once: sgdisk waits for all of the machine's disks.
var sampleImage []byte

// sample is a disk of 20 MiB with three and a name beyond the basic plane, which
// only sgdisk can write.
func sample(t *testing.T) []byte {
	t.Helper()
	if sampleImage == nil {
		path := save(t, labelled(t, 20*disk.MiB, three))
		run(t, "", "sgdisk", "-c", "3:💾 x", path)
		sampleImage = load(t, path)
	}
	return bytes.Clone(sampleImage)
}

func load(t *testing.T, path string) []byte {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// save writes an image for the tools to look at.
func save(t *testing.T, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read reads the table of an image, which must be sound.
func read(t *testing.T, image []byte) *gpt.State {
	t.Helper()
	s, err := gpt.Read(bytes.NewReader(image), disk.Bytes(len(image)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write applies a table to a memory disk that holds image and returns the bytes.
func write(t *testing.T, s *gpt.State, image []byte, table disk.Table, entries []disk.Entry) []byte {
	t.Helper()
	writes, err := s.Writes(table, entries, disk.Bytes(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	dev := simdev.New(image)
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	return dev.Bytes()
}

// judge lets sgdisk and sfdisk look at an image with sectors of 512 bytes.
func judge(t *testing.T, path string) {
	t.Helper()
	if out := run(t, "", "sgdisk", "-v", path); !strings.Contains(out, "No problems found") || strings.Contains(out, "CRC") {
		t.Errorf("sgdisk -v:\n%s", out)
	}
	if out := run(t, "", "sfdisk", "--verify", path); !strings.Contains(out, "No errors detected") {
		t.Errorf("sfdisk --verify:\n%s", out)
	}
}

// dump is what sfdisk reads, without the name of the file.
func dump(t *testing.T, path string) string {
	t.Helper()
	out := run(t, "", "sfdisk", "-d", path)
	return strings.ReplaceAll(out, path, "disk")
}

// TestNothingToDo: a table of another tool is read in full, and writing it back
// changes nothing.
func TestNothingToDo(t *testing.T) {
	image := sample(t)
	s := read(t, image)
	if len(s.Warnings) != 0 {
		t.Errorf("warnings: %q", s.Warnings)
	}
	want := []disk.Entry{
		{Number: 1, Type: esp, UUID: uuid.MustParse("aaaaaaaa-0000-0000-0000-000000000001"), Name: "esp", Extent: disk.Extent{Offset: disk.MiB, Size: disk.MiB}},
		{Number: 3, Type: uuid.MustParse("deadbeef-0000-4000-8000-000000000000"), UUID: uuid.MustParse("aaaaaaaa-0000-0000-0000-000000000003"), Name: "💾 x", Attributes: 1 | 1<<48 | 1<<60 | 1<<63, Extent: disk.Extent{Offset: 10 * disk.MiB, Size: 2 * disk.MiB}},
		{Number: 4, Type: linux, UUID: uuid.MustParse("aaaaaaaa-0000-0000-0000-000000000004"), Extent: disk.Extent{Offset: 4 * disk.MiB, Size: 4 * disk.MiB}},
	}
	if len(s.Entries) != len(want) {
		t.Fatalf("entries: %+v", s.Entries)
	}
	for i := range want {
		if s.Entries[i] != want[i] {
			t.Errorf("entry %+v, want %+v", s.Entries[i], want[i])
		}
	}
	table := disk.Table{Kind: disk.GPT, GUID: uuid.MustParse("11111111-2222-3333-4444-555555555555"), FirstUsable: 2048, LastUsable: 40926, Slots: 128}
	if s.Table != table {
		t.Errorf("table %+v, want %+v", s.Table, table)
	}
	writes, err := s.Writes(s.Table, s.Entries, 20*disk.MiB)
	if err != nil || len(writes) != 0 {
		t.Errorf("%d writes, %v", len(writes), err)
	}
}

// TestNewAsSfdisk: a new table is byte for byte what sfdisk makes.
func TestNewAsSfdisk(t *testing.T) {
	guid := uuid.MustParse("11111111-2222-3333-4444-555555555555")
	for _, size := range []disk.Bytes{256 * disk.KiB, 3 * disk.MiB, 4 * disk.MiB, 4*disk.MiB + 512, 20 * disk.MiB, 20*disk.MiB + 100} {
		want := labelled(t, size, "label: gpt\nlabel-id: "+guid.String()+"\n")
		s, err := gpt.New(size, 512, guid)
		if err != nil {
			t.Fatal(err)
		}
		got := write(t, s, make([]byte, size), s.Table, nil)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: our table differs from sfdisk's", size)
		}
	}
}

// TestAdd: a partition more, and the others keep every byte.
func TestAdd(t *testing.T) {
	image := sample(t)
	before := dump(t, save(t, image))
	s := read(t, image)
	added := disk.Entry{Number: 2, Type: linux, UUID: uuid.MustParse("aaaaaaaa-0000-0000-0000-000000000002"), Name: "added", Attributes: disk.AttributeReadOnly, Extent: disk.Extent{Offset: 16 * disk.MiB, Size: disk.MiB}}
	path := save(t, write(t, s, image, s.Table, append(s.Entries, added)))
	judge(t, path)
	line := `disk2 : start=       32768, size=        2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=AAAAAAAA-0000-0000-0000-000000000002, name="added", attrs="GUID:60"` + "\n"
	after := dump(t, path)
	if !strings.Contains(after, line) || strings.Replace(after, line, "", 1) != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestNothing: what is no GPT.
func TestNothing(t *testing.T) {
	mbr := labelled(t, 20*disk.MiB, "label: dos\nstart=2048, size=2048, type=83, bootable\nstart=8192, type=c\n")
	if _, err := gpt.Read(bytes.NewReader(mbr), 20*disk.MiB, 512); !errors.Is(err, gpt.ErrMBR) {
		t.Errorf("MBR: %v", err)
	}
	entries, err := gpt.ReadMBR(bytes.NewReader(mbr), 0)
	if err != nil || len(entries) != 2 || entries[0].Attributes != 0x183 || entries[1].Attributes != 0xc ||
		entries[0].Extent != (disk.Extent{Offset: disk.MiB, Size: disk.MiB}) || entries[1].Extent != (disk.Extent{Offset: 4 * disk.MiB, Size: 16 * disk.MiB}) {
		t.Errorf("MBR entries %+v, %v", entries, err)
	}
	for _, size := range []int{0, 1, 511, 512, 1024, 1536, 1 << 20} {
		if _, err := gpt.Read(bytes.NewReader(make([]byte, size)), disk.Bytes(size), 0); !errors.Is(err, gpt.ErrNone) {
			t.Errorf("%d zero bytes: %v", size, err)
		}
	}
}
