package gpt_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// grown returns image with zeroes behind it.
func grown(image []byte, more disk.Bytes) forgery {
	return forgery{append(bytes.Clone(image), make([]byte, more)...), 512}
}

// TestGrown: on a disk that has grown the backup moves to the new end, the usable
// sectors follow, and the old backup header goes.
func TestGrown(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	base := sample(t)
	f := grown(base, 10*disk.MiB)
	s := read(t, f.image)
	want := []string{
		"the disk has grown: the backup partition table belongs at sector 61439, not 40959",
		"the protective MBR covers 40960 sectors, and the disk has 61440",
	}
	if strings.Join(s.Warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings: %q", s.Warnings)
	}
	if s.Table.LastUsable != 61406 {
		t.Errorf("last usable sector %d", s.Table.LastUsable)
	}
	entries := append([]disk.Entry(nil), s.Entries...)
	entries[1].Size = 9 * disk.MiB // partition 3, from 10 MiB
	entries = append(entries, entryOf(2, 61406-2047, 2048, "at the end"))
	image := write(t, s, f.image, s.Table, entries)
	path := save(t, image)
	judge(t, path)
	if out := dump(t, path); !strings.Contains(out, "last-lba: 61406") || !strings.Contains(out, "start=       59359, size=        2048") {
		t.Errorf("sfdisk reads\n%s", out)
	}
	if old := image[20*disk.MiB-512 : 20*disk.MiB]; !bytes.Equal(old, make([]byte, 512)) {
		t.Errorf("the old backup header is still there: %q", old[:8])
	}
}

// TestGrownByWrites: the same for an image that is made larger between Read and
// Writes, by the caller.
func TestGrownByWrites(t *testing.T) {
	path := save(t, sample(t))
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := gpt.Read(dev, dev.Size(), dev.SectorSize())
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Grow(24 * disk.MiB); err != nil {
		t.Fatal(err)
	}
	table := s.Table
	table.LastUsable = 49118
	writes, err := s.Writes(table, s.Entries, dev.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	judge(t, path)
	if out := dump(t, path); !strings.Contains(out, "last-lba: 49118") {
		t.Errorf("sfdisk reads\n%s", out)
	}
}

// TestOldBackupInsidePartition: an old backup header that now lies in a partition is
// that partition's data, and may be part of what was just written to it.
func TestOldBackupInsidePartition(t *testing.T) {
	f := grown(sample(t), 10*disk.MiB)
	s := read(t, f.image)
	entries := append([]disk.Entry(nil), s.Entries...)
	entries[1].Size = 12 * disk.MiB // partition 3, from 10 MiB to 22 MiB
	image := write(t, s, f.image, s.Table, entries)
	if old := image[20*disk.MiB-512 : 20*disk.MiB]; !bytes.Equal(old, f.image[20*disk.MiB-512:20*disk.MiB]) {
		t.Error("a byte inside a partition was changed")
	}
	judge(t, save(t, image))
}

// TestGrownAndPrimaryLost: the backup is found where the disk ended before, by the
// protective MBR, by what is left of the primary header, or at a whole size. One that
// is there while the table belongs elsewhere is outdated and not used.
func TestGrownAndPrimaryLost(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	base := sample(t)
	odd := labelled(t, 20*disk.MiB+512*77, three)
	noSize := func(f forgery) { copy(f.image[446+12:], "\xff\xff\xff\xff") }
	cases := []struct {
		name   string
		image  []byte
		change func(f forgery)
		found  bool
	}{
		{"the MBR tells", odd, func(f forgery) { clear(f.at(1)) }, true},
		{"the header tells", odd, func(f forgery) { noSize(f); f.entry(1, 1)[0]++ }, true},
		{"a torn header tells", odd, func(f forgery) { noSize(f); f.at(1)[fieldGUID]++ }, true},
		{"a whole number of MiB", base, func(f forgery) { noSize(f); clear(f.at(1)) }, true},
		{"nothing tells", odd, func(f forgery) { noSize(f); clear(f.at(1)) }, false},
		{"the MBR covers all", base, func(f forgery) { copy(f.image[446+12:], "\xff\xef\x00\x00"); clear(f.at(1)) }, false},
		{"a torn backup at the end", base, func(f forgery) { noSize(f); clear(f.at(1)); copy(f.at(f.last()), "EFI PART") }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := grown(c.image, 30*disk.MiB-disk.Bytes(len(c.image)))
			c.change(f)
			s, err := gpt.Read(bytes.NewReader(f.image), disk.Bytes(len(f.image)), 512)
			if (err == nil) != c.found || !c.found && !errors.Is(err, gpt.ErrDamaged) {
				t.Fatalf("found: %v (%v)", err == nil, err)
			}
			if !c.found {
				return
			}
			after := write(t, s, f.image, s.Table, s.Entries)
			judge(t, save(t, after))
			if !s.Exposed() || read(t, after).Exposed() || read(t, c.image).Exposed() {
				t.Error("only the backup in the middle is exposed to what is written there")
			}
		})
	}
}

// TestOnlyBackup: with the start of the disk overwritten, a backup alone is not
// trusted, but the disk is not blank either.
func TestOnlyBackup(t *testing.T) {
	f := forge(sample(t))
	clear(f.image[:disk.MiB])
	_, err := gpt.Read(bytes.NewReader(f.image), 20*disk.MiB, 0)
	want := `the GPT is damaged: there is a backup copy at sector 40959, but the start of the disk has been overwritten: no protective MBR, and at sector 1: there is no "EFI PART" signature`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestHuge: above 2 TiB the protective MBR's size is all ones, before and after
// growing.
func TestHuge(t *testing.T) {
	path := blank(t, 20*disk.MiB)
	if err := os.Truncate(path, int64(3*disk.TiB)); err != nil {
		t.Skipf("no sparse files of 3 TiB here: %v", err)
	}
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := gpt.New(dev.Size(), 512, uuid.UUID{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []disk.Bytes{3 * disk.TiB, 5 * disk.TiB} {
		if err := dev.Grow(size); err != nil {
			t.Fatal(err)
		}
		entries := []disk.Entry{entryOf(1, 2048, size.LBA(512)-2048-33, "all")}
		table := s.Table
		table.LastUsable = size.LBA(512) - 34
		writes, err := s.Writes(table, entries, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(dev, writes); err != nil {
			t.Fatal(err)
		}
		judge(t, path)
		if out := dump(t, path); strings.Contains(out, "mismatch") {
			t.Errorf("sfdisk says\n%s", out)
		}
		if s, err = gpt.Read(dev, dev.Size(), 0); err != nil || len(s.Warnings) != 0 {
			t.Fatalf("%v, %q", err, s.Warnings)
		}
	}
}

// TestGrownAcross2TiB: a disk that grows over 2 TiB stops telling its size in the MBR.
func TestGrownAcross2TiB(t *testing.T) {
	path := save(t, sample(t))
	if err := os.Truncate(path, int64(3*disk.TiB)); err != nil {
		t.Skipf("no sparse files of 3 TiB here: %v", err)
	}
	dev, err := blockdev.Open(path, blockdev.OpenOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := gpt.Read(dev, dev.Size(), 0)
	if err != nil {
		t.Fatal(err)
	}
	writes, err := s.Writes(s.Table, s.Entries, dev.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(dev, writes); err != nil {
		t.Fatal(err)
	}
	judge(t, path)
	mbr := make([]byte, 512)
	if _, err := dev.ReadAt(mbr, 0); err != nil || !bytes.Equal(mbr[446+12:446+16], []byte("\xff\xff\xff\xff")) {
		t.Errorf("MBR entry %x, %v", mbr[446:462], err)
	}
}
