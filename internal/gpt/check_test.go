package gpt_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev/simdev"
	"github.com/sealpart/sealpart/internal/gpt"
)

// TestRefused: tables that are not written, and why. The disk is that of small.
func TestRefused(t *testing.T) {
	base := labelled(t, smallSize, small)
	type change = func(*disk.Table, *[]disk.Entry)
	add := func(number int, first, sectors disk.LBA, name string) change {
		return func(_ *disk.Table, e *[]disk.Entry) { *e = append(*e, entryOf(number, first, sectors, name)) }
	}
	edit := func(n int, f func(*disk.Entry)) change {
		return func(_ *disk.Table, e *[]disk.Entry) { f(&(*e)[n-1]) }
	}
	table := func(f func(*disk.Table)) change { return func(t *disk.Table, _ *[]disk.Entry) { f(t) } }
	cases := []struct {
		change change
		want   string
	}{
		{add(0, 120, 8, ""), "partition 0: the table has numbers 1 to 128 only"},
		{add(-1, 120, 8, ""), "partition -1: the table has numbers 1 to 128 only"},
		{add(129, 120, 8, ""), "partition 129: the table has numbers 1 to 128 only"},
		{add(5, 120, 8, ""), "partition 5 is there twice"},
		{add(6, 100, 8, ""), "partitions 5 and 6 overlap: 4096 bytes at 49152, 4096 bytes at 51200"},
		{add(6, 34, 100, ""), "partitions 6 and 1 overlap: 51200 bytes at 17408, 4096 bytes at 20480"},
		{add(6, 0, 8, ""), "partition 6: 4096 bytes at 0 lie over the partition table"},
		{add(6, 33, 1, ""), "partition 6: 512 bytes at 16896 lie over the partition table"},
		{add(6, 222, 2, ""), "partition 6: 1024 bytes at 113664 lie over the partition table"},
		{add(6, 255, 1, ""), "partition 6: 512 bytes at 130560 lie over the partition table"},
		{add(6, 256, 1, ""), "partition 6: 512 bytes at 131072 are not on the disk (131072 bytes)"},
		{add(6, 120, 1<<53, ""), "partition 6: 4611686018427387904 bytes at 61440 are not on the disk (131072 bytes)"},
		{add(6, -1, 8, ""), "partition 6: 4096 bytes at -512 are not on the disk (131072 bytes)"},
		{add(6, 120, 0, ""), "partition 6: 0 bytes at 61440 are not on the disk (131072 bytes)"},
		{add(6, 120, -8, ""), "partition 6: -4096 bytes at 61440 are not on the disk (131072 bytes)"},
		{edit(5, func(e *disk.Entry) { e.Size++ }), "partition 5: 4097 bytes at 49152 are not whole sectors of 512 bytes"},
		{edit(5, func(e *disk.Entry) { e.Offset += 256 }), "partition 5: 4096 bytes at 49408 are not whole sectors of 512 bytes"},
		{edit(5, func(e *disk.Entry) { e.Type = uuid.Nil }), "partition 5: the type is the nil UUID, which marks an unused entry"},
		{edit(5, func(e *disk.Entry) { e.UUID[15] = 4 }), "partitions 4 and 5 have the same UUID aaaaaaaa-0000-0000-0000-000000000004"},
		{add(6, 120, 8, strings.Repeat("💾", 19)), "partition 6: the name \"" + strings.Repeat("💾", 19) + "\" has 38 UTF-16 code units, and there is room for 36"},
		{add(6, 120, 8, strings.Repeat("x", 37)), "partition 6: the name \"" + strings.Repeat("x", 37) + "\" has 37 UTF-16 code units, and there is room for 36"},
		{add(6, 120, 8, "a\x00b"), `partition 6: the name "a\x00b" contains a NUL`},
		{add(6, 120, 8, "a\xff"), `partition 6: the name "a\xff" is not UTF-8`},
		{table(func(t *disk.Table) { t.Kind = disk.MBR }), `a table of kind "mbr" is not written, only a GPT`},
		{table(func(t *disk.Table) { t.Slots = 256 }), "the table has room for 128 partitions, which does not change to 256"},
		{table(func(t *disk.Table) { t.GUID = uuid.Nil }), "the table has no disk GUID"},
		{table(func(t *disk.Table) { t.FirstUsable = 33 }), "the first usable sector 33 lies in the partition table, which ends before sector 34"},
		{table(func(t *disk.Table) { t.LastUsable = 223 }), "the last usable sector 223 lies in the backup partition table, which starts at sector 223"},
		{table(func(t *disk.Table) { t.FirstUsable = 223 }), "the last usable sector 222 lies before the first, 223"},
		{func(t *disk.Table, e *[]disk.Entry) {
			t.FirstUsable = 120
			*e = append(*e, entryOf(6, 112, 8, ""))
		}, "partition 6: 4096 bytes at 57344 lie outside the usable sectors 120 to 222"},
	}
	for _, c := range cases {
		s := read(t, base)
		tab, entries := s.Table, append([]disk.Entry(nil), s.Entries...)
		c.change(&tab, &entries)
		writes, err := s.Writes(tab, entries, smallSize)
		if err == nil || err.Error() != c.want || writes != nil {
			t.Errorf("got  %v (%d writes)\nwant %s", err, len(writes), c.want)
		}
	}
}

// TestRefusedSizes: no table for a disk that has become smaller, that is too small,
// or that has other sectors.
func TestRefusedSizes(t *testing.T) {
	base := labelled(t, smallSize, small)
	s := read(t, base)
	if _, err := s.Writes(s.Table, s.Entries, smallSize-512); err == nil || err.Error() != "the disk had 131072 bytes when its partition table was read, and now has 130560" {
		t.Errorf("smaller: %v", err)
	}
	if err := s.Apply(simdev.New(base).WithSectorSize(4096), nil); err == nil || err.Error() != "simdev has sectors of 4096 bytes, and the partition table is for 512" {
		t.Errorf("other sectors: %v", err)
	}
	guid := uuid.UUID{1}
	for _, size := range []disk.Bytes{0, 512, 67 * 512} {
		if _, err := gpt.New(size, 512, guid); err == nil || !strings.Contains(err.Error(), "is too small for a GPT") {
			t.Errorf("a table for %d bytes: %v", size, err)
		}
	}
	if _, err := gpt.New(68*512, 512, guid); err != nil {
		t.Errorf("68 sectors have room for one partition of one sector: %v", err)
	}
	if _, err := gpt.New(disk.MiB, 768, guid); err == nil || err.Error() != "sectors of 768 bytes are not supported, only 512, 1024, 2048 or 4096" {
		t.Errorf("odd sectors: %v", err)
	}
	if _, err := gpt.New(disk.MiB, 512, uuid.Nil); err == nil || !strings.Contains(err.Error(), "a new partition table needs a disk GUID") {
		t.Errorf("a table without a GUID: %v", err)
	}
}

// TestTolerated: what other tools leave behind does not stop work beside it: two
// partitions of one UUID, and one outside the usable sectors.
func TestTolerated(t *testing.T) {
	f := forge(labelled(t, smallSize, small))
	f.both(func(lba int) {
		copy(f.entry(lba, 2)[16:32], f.entry(lba, 3)[16:32])
		f.put64(lba, fieldFirst, 48)
	})
	s := read(t, f.image)
	want := "partition 1 lies outside the usable sectors 48 to 222, and is kept there"
	if len(s.Warnings) != 1 || s.Warnings[0] != want {
		t.Errorf("warnings: %q", s.Warnings)
	}
	image := write(t, s, f.image, s.Table, append(s.Entries, entryOf(6, 112, 8, "new"), entryOf(7, 120, 8, strings.Repeat("💾", 18))))
	after := read(t, image)
	if len(after.Entries) != 7 || after.Entries[6].Name != strings.Repeat("💾", 18) || after.Entries[0] != s.Entries[0] || after.Entries[1] != s.Entries[1] {
		t.Errorf("entries: %+v", after.Entries)
	}
}
