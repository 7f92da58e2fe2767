package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/internal/testenv"
)

// The disk that the hostile ones are made from: root (partition 1) with room behind
// it, and somebody else's partition 2 at the end.
const (
	diskSize   = 80 << 20
	sector     = 512
	lastSector = diskSize/sector - 1
	rootStart  = 1 << 20
	otherStart = 76 << 20
	otherSize  = 2 << 20
)

// makeDisk makes that disk, with content as its root.
func makeDisk(t *testing.T, content []byte) []byte {
	t.Helper()
	root, _ := disk.TypeByName("root", host.Gather("").Architecture)
	script := fmt.Sprintf(`label: gpt
label-id: 5b2c6d1e-0001-4000-8000-000000000000
start=%d, size=%d, type=%s, uuid=5b2c6d1e-0001-4000-8000-000000000001, name=root
start=%d, size=%d, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=5b2c6d1e-0001-4000-8000-000000000002, name=other
`, rootStart/sector, len(content)/sector, root.UUID, otherStart/sector, otherSize/sector)
	path := filepath.Join(t.TempDir(), "base.img")
	writeChunks(t, path, diskSize, nil)
	tool(t, script, "sfdisk", "-q", path)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(image[rootStart:], content)
	copy(image[otherStart:], bytes.Repeat([]byte("other"), otherSize/5))
	return image
}

// makeRoot lets a tool make the content of root, in a file whose path replaces
// "FILE" in the arguments.
func makeRoot(t *testing.T, size int, stdin, name string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.img")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "FILE", path)
	}
	tool(t, stdin, name, args...)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tool runs a foreign program, which has to succeed, and returns what it wrote.
func tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Need(t, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// judgeDisk judges a disk that was applied to: its tables are good, there is a new
// partition, somebody else's is as it was, and there is nothing left to do.
func judgeDisk(t *testing.T, path string) {
	t.Helper()
	if out := tool(t, "", "sgdisk", "-v", path); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	if out := tool(t, "", "sgdisk", "-i", "3", path); !strings.Contains(out, "Partition name: 'data'") {
		t.Errorf("no new partition: %s", out)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(image[otherStart:], bytes.Repeat([]byte("other"), otherSize/5)) {
		t.Error("somebody else's partition was changed")
	}
	again := runMain(t, commandLine("apply")...)
	if again.code != 0 || again.out+again.err != "" {
		t.Errorf("a second apply: %d\n%s%s", again.code, again.out, again.err)
	}
}

// judgeSame wants root to be as it was.
func judgeSame(t *testing.T, before []byte) {
	judgeDisk(t, "disk.img")
	if !bytes.Equal(rootOf(t), before) {
		t.Error("root was changed")
	}
}

// judgeConverted wants root to be encrypted, with what was there inside.
func judgeConverted(t *testing.T, before []byte) {
	if plain := judgeVolume(t); !bytes.HasPrefix(plain, before) {
		t.Error("the volume does not hold what root was")
	}
}

// judgeVolume wants root to be a volume, and returns what is in it.
func judgeVolume(t *testing.T) []byte {
	t.Helper()
	judgeDisk(t, "disk.img")
	if s := runMain(t, "export", "--key-file=key", "disk.img#1", "plain"); s.code != 0 {
		t.Fatalf("export: %s", s.err)
	}
	plain, err := os.ReadFile("plain")
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// The fields of a GPT header (UEFI 2.10, table 5-5) that cases change.
const (
	fieldHeaderCRC = 16
	fieldMy        = 24
	fieldAlternate = 32
	fieldFirst     = 40
	fieldLast      = 48
	fieldArray     = 72
	fieldCount     = 80
	fieldEntrySize = 84
	fieldArrayCRC  = 88
)

// The sectors of both headers, and of their arrays.
const (
	primary      = 1
	backup       = lastSector
	primaryArray = 2
	backupArray  = lastSector - 32
)

// at returns the image from a sector on.
func (v victim) at(lba int) []byte { return v.image[lba*sector:] }

// entry returns entry n, from 1, of the array in sector lba.
func (v victim) entry(lba, n int) []byte { return v.at(lba)[(n-1)*128:][:128] }

// seal makes the checksums of both copies good, where the array's place is known.
func (v victim) seal() {
	for header, array := range map[int]int{primary: primaryArray, backup: backupArray} {
		h := v.at(header)
		binary.LittleEndian.PutUint32(h[fieldArrayCRC:], crc32.ChecksumIEEE(v.at(array)[:128*128]))
		binary.LittleEndian.PutUint32(h[fieldHeaderCRC:], 0)
		binary.LittleEndian.PutUint32(h[fieldHeaderCRC:], crc32.ChecksumIEEE(h[:92]))
	}
}
