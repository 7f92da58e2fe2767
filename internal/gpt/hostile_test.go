package gpt_test

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/gpt"
)

// hostile is a disk on which no copy can be used, and what is said about it. The
// disk has 256 sectors, 34 to 222 usable; the backup header is in sector 255.
type hostile struct {
	name   string
	change func(f forgery)
	want   string // what is said of the primary copy, or the whole error
}

// primaryOnly are two more, which a backup copy cannot know to be wrong: it does not
// tell where the primary array is.
var primaryOnly = []hostile{
	{"first usable sector in the array", place(fieldFirst, 33), "its 32 sectors of entries at 2 do not lie between the header and the first usable sector 33"},
	{"partition over the array", partition(1, 33, 40), "partition 1 (sectors 33 to 40) lies over the partition table"},
}

// field sets a header field of both copies.
func field(at int, v uint32) func(f forgery) {
	return func(f forgery) { f.both(func(lba int) { f.put32(lba, at, v) }) }
}

// place sets an LBA of both headers.
func place(at int, v uint64) func(f forgery) {
	return func(f forgery) { f.both(func(lba int) { f.put64(lba, at, v) }) }
}

// partition sets the first and last sector of a partition in both copies.
func partition(n int, first, last uint64) func(f forgery) {
	return func(f forgery) {
		f.both(func(lba int) {
			e := f.entry(lba, n)
			for i := range 8 {
				e[32+i], e[40+i] = byte(first>>(8*i)), byte(last>>(8*i))
			}
		})
	}
}

var hostiles = []hostile{
	{"signatures lost", func(f forgery) { f.at(1)[0], f.at(f.last())[0] = 0, 0 }, `there is no "EFI PART" signature`},
	{"checksums wrong", func(f forgery) { f.at(1)[fieldGUID] ^= 1; f.at(f.last())[fieldGUID] ^= 1 }, "the header's checksum is "},
	{"arrays torn", func(f forgery) { f.entry(1, 1)[60] ^= 1; f.entry(f.last(), 1)[60] ^= 1 }, "the checksum of its entries is "},
	{"unused slot changed", func(f forgery) { f.entry(1, 128)[127] ^= 1; f.entry(f.last(), 128)[127] ^= 1 }, "the checksum of its entries is "},
	{"revision 0.1", field(fieldRevision, 0x100), "revision 0x00000100 is not known"},
	{"revision 2.0", field(fieldRevision, 0x20000), "revision 0x00020000 is not known"},
	{"header of 0 bytes", field(fieldSize, 0), "a header size of 0 is not between 92 and the sector size 512"},
	{"header of 91 bytes", field(fieldSize, 91), "a header size of 91 is not between 92 and the sector size 512"},
	{"header over the sector", field(fieldSize, 513), "a header size of 513 is not between 92 and the sector size 512"},
	{"header of 4 GiB", field(fieldSize, math.MaxUint32), "a header size of 4294967295 is not between 92 and the sector size 512"},
	{"no entries", field(fieldCount, 0), "an array of 0 entries is not supported, only 1 to 1024"},
	{"1025 entries", field(fieldCount, 1025), "an array of 1025 entries is not supported, only 1 to 1024"},
	{"8184 entries", field(fieldCount, 8184), "an array of 8184 entries is not supported, only 1 to 1024"},
	{"512 GiB of entries", field(fieldCount, math.MaxUint32), "an array of 4294967295 entries is not supported, only 1 to 1024"},
	{"entries of 0 bytes", field(fieldEntrySize, 0), "entries of 0 bytes are not supported, only 128"},
	{"entries of 64 bytes", field(fieldEntrySize, 64), "entries of 64 bytes are not supported, only 128"},
	{"entries of 256 bytes", field(fieldEntrySize, 256), "entries of 256 bytes are not supported, only 128"},
	{"entries of 4 GiB", field(fieldEntrySize, math.MaxUint32), "entries of 4294967295 bytes are not supported, only 128"},
	{"own place wrong", place(fieldMy, 7), "it says to be at sector 7, and is at 1"},
	{"own place on no disk", place(fieldMy, math.MaxUint64), "the own place, sector 18446744073709551615, is on no disk"},
	{"backup at sector 0", place(fieldAlternate, 0), "its backup cannot be at sector 0"},
	{"backup behind the disk", place(fieldAlternate, 256), "the GPT is damaged: its backup is at sector 256, but the disk ends after 256 sectors (was the image cut short?)"},
	{"backup far behind the disk", place(fieldAlternate, 1<<51-1), "the GPT is damaged: its backup is at sector 2251799813685247, but the disk ends after 256 sectors (was the image cut short?)"},
	{"backup on no disk", place(fieldAlternate, math.MaxUint64), "the place of the other header, sector 18446744073709551615, is on no disk"},
	{"usable sectors backwards", place(fieldFirst, 223), "the last usable sector 222 lies before the first, 223"},
	{"first usable sector 0", place(fieldFirst, 0), "the first usable sector 0 is the header's own or lies before it"},
	{"first usable sector on no disk", place(fieldFirst, 1<<63), "the first usable sector, sector 9223372036854775808, is on no disk"},
	{"last usable sector behind the disk", place(fieldLast, 256), "the last usable sector 256 is not on the disk (256 sectors)"},
	{"last usable sector on no disk", place(fieldLast, math.MaxUint64), "the last usable sector, sector 18446744073709551615, is on no disk"},
	{"array over the MBR", place(fieldArray, 0), "its 32 sectors of entries at 0 do not lie between the header and the first usable sector 34"},
	{"array over the header", place(fieldArray, 1), "its 32 sectors of entries at 1 do not lie between the header and the first usable sector 34"},
	{"array in the usable sectors", place(fieldArray, 40), "its 32 sectors of entries at 40 do not lie between the header and the first usable sector 34"},
	{"array behind the disk", place(fieldArray, 1000), "its 32 sectors of entries at 1000 do not lie between the header and the first usable sector 34"},
	{"array at the end of numbers", place(fieldArray, math.MaxUint64), "the place of the array, sector 18446744073709551615, is on no disk"},
	{"array where bytes overflow", place(fieldArray, 1<<55), "the place of the array, sector 36028797018963968, is on no disk"},
	{"partition backwards", partition(2, 55, 48), "partition 2 ends at sector 48, before its start at 55"},
	{"partition behind the disk", partition(5, 96, 256), "partition 5 ends at sector 256, and the disk has 256 sectors"},
	{"partition at the end of numbers", partition(5, 96, math.MaxUint64), "partition 5 ends at sector 18446744073709551615, and the disk has 256 sectors"},
	{"partition of all numbers", partition(5, 0, math.MaxUint64), "partition 5 ends at sector 18446744073709551615, and the disk has 256 sectors"},
	{"partition over the MBR", partition(1, 0, 40), "partition 1 (sectors 0 to 40) lies over the partition table"},
	{"partition over the header", partition(1, 1, 40), "partition 1 (sectors 1 to 40) lies over the partition table"},
	{"partition in another", partition(3, 50, 51), "partitions 2 and 3 share sectors 50 to 51"},
	{"partitions that touch", partition(3, 55, 60), "partitions 2 and 3 share sectors 55 to 55"},
	{"the same partition twice", partition(3, 48, 55), "partitions 2 and 3 share sectors 48 to 55"},
	{"partition over all others", partition(1, 34, 222), "partitions 1 and 2 share sectors 48 to 55"},
}

// TestHostile: tables that cannot be, with good checksums where that is possible.
func TestHostile(t *testing.T) {
	base := labelled(t, smallSize, small)
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			f := forge(base)
			h.change(f)
			image := bytes.Clone(f.image)
			_, err := gpt.Read(bytes.NewReader(f.image), smallSize, 512)
			if !bytes.Equal(image, f.image) {
				t.Error("the image was changed")
			}
			if unsupported[h.name] {
				checkUnsupported(t, err, h.want)
				return
			}
			want := h.want
			if !strings.HasPrefix(want, "the GPT is damaged") {
				want = "the GPT is damaged: primary copy at sector 1: " + want
			}
			if !errors.Is(err, gpt.ErrDamaged) || !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			if !strings.Contains(want, "cut short") && !strings.Contains(err.Error(), "; backup copy at sector 255: ") {
				t.Errorf("nothing about the backup: %v", err)
			}
		})
	}
}

// unsupported are those of the hostile tables that somebody can have meant: their checksums
// are good, and the specification or the habits of others allow what they say.
var unsupported = map[string]bool{
	"revision 0.1": true, "revision 2.0": true, "1025 entries": true, "8184 entries": true, "entries of 256 bytes": true,
	"partition over the MBR": true, "partition over the header": true, "partition in another": true,
	"partitions that touch": true, "the same partition twice": true, "partition over all others": true,
}

// checkUnsupported asks for an error that calls nothing damaged, and says what can be done.
func checkUnsupported(t *testing.T, err error, reason string) {
	t.Helper()
	want := "the GPT is whole, and of a form that is not supported: " + reason
	if !errors.Is(err, gpt.ErrUnsupported) || errors.Is(err, gpt.ErrDamaged) || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.HasPrefix(hinted.Hint(), "nothing is damaged") {
		t.Errorf("no word of what to do: %v", err)
	}
}

// TestBackupSaves: whatever is wrong with the primary copy alone, the backup is used,
// and written back as the primary. sgdisk looks at the result.
func TestBackupSaves(t *testing.T) {
	base := labelled(t, smallSize, small)
	entries := read(t, base).Entries
	for _, h := range append(primaryOnly, hostiles...) {
		if strings.Contains(h.want, "cut short") {
			continue // data may be missing, so nothing is touched
		}
		t.Run(h.name, func(t *testing.T) {
			f := forge(base)
			h.change(f)
			copy(f.image[223*512:], base[223*512:])
			s := read(t, f.image)
			if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "the primary partition table is damaged ("+h.want) ||
				!strings.HasSuffix(s.Warnings[0], "); its backup at sector 255 is used") {
				t.Errorf("warnings: %q", s.Warnings)
			}
			if got := write(t, s, f.image, s.Table, entries); !bytes.Equal(got, base) {
				t.Error("the repaired table is not as it was")
			}
		})
	}
}

// TestPrimaryStands: whatever is wrong with the backup alone, the primary is used.
func TestPrimaryStands(t *testing.T) {
	base := labelled(t, smallSize, small)
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			f := forge(base)
			h.change(f)
			copy(f.image, base[:34*512])
			s := read(t, f.image)
			if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "the backup partition table ") {
				t.Errorf("warnings: %q", s.Warnings)
			}
			if got := write(t, s, f.image, s.Table, s.Entries); !bytes.Equal(got, base) {
				t.Error("the repaired table is not as it was")
			}
		})
	}
}

// TestTruncated: an image that was cut short is refused at any length, and stays as
// it is; it is never made longer.
func TestTruncated(t *testing.T) {
	base := labelled(t, smallSize, small)
	for size := disk.Bytes(2048); size < smallSize; size += 512 {
		_, err := gpt.Read(bytes.NewReader(base[:size]), size, 0)
		if !errors.Is(err, gpt.ErrDamaged) || !strings.Contains(err.Error(), "was the image cut short?") {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

// endless is a disk of a given size that holds one sector everywhere.
type endless []byte

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = e[(off+int64(i))%512]
	}
	return len(p), nil
}

// TestMemory: neither a header nor a disk's size makes Read take much memory.
func TestMemory(t *testing.T) {
	f := forge(labelled(t, smallSize, small))
	sectors := map[string][]byte{"MBR": bytes.Clone(f.at(0)), "zeroes": make([]byte, 512)}
	f.put32(1, fieldCount, 1024)
	f.put64(1, fieldFirst, 1000)
	f.put64(1, fieldLast, 1<<39)
	f.put64(1, fieldAlternate, 1<<40)
	f.sealHeader(1)
	sectors["header"] = f.at(1)
	for name, sector := range sectors {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := gpt.Read(endless(sector), 1<<52, 512)
		runtime.ReadMemStats(&after)
		if want := map[string]error{"zeroes": gpt.ErrNone}[name]; want == nil && !errors.Is(err, gpt.ErrDamaged) || want != nil && !errors.Is(err, want) {
			t.Fatalf("%s: a disk that repeats one sector was read: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
			t.Errorf("%s: %d bytes for one Read (%v)", name, n, err)
		}
	}
}
