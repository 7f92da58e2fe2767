package gpt

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// mbrOf is an MBR with these entries.
func mbrOf(entries ...[]byte) []byte {
	mbr := make([]byte, mbrSize)
	for i, e := range entries {
		copy(mbrEntry(mbr, i), e)
	}
	mbr[510], mbr[511] = 0x55, 0xaa
	return mbr
}

// mbrPart is an entry of an MBR.
func mbrPart(flag, kind byte, first, size uint32) []byte {
	e := make([]byte, mbrEntrySize)
	e[0], e[4] = flag, kind
	binary.LittleEndian.PutUint32(e[8:], first)
	binary.LittleEndian.PutUint32(e[12:], size)
	return e
}

// TestClassifyMBR: what passes for a boot sector of a file system, for a table of its own, and for
// one that stands for a GPT. Only in the last may the size of the disk be asked and changed.
func TestClassifyMBR(t *testing.T) {
	const all = math.MaxUint32
	gpt, linux := mbrPart(0, mbrProtective, 1, 999), mbrPart(0x80, 0x83, 2048, 100)
	half := mbrOf(gpt)
	half[511] = 0
	for name, c := range map[string]struct {
		mbr  []byte
		kind mbrKind
		told disk.LBA // the size of the disk
	}{
		"a GPT's":                  {mbrOf(gpt), mbrForGPT, 1000},
		"in another entry":         {mbrOf(nil, gpt), mbrForGPT, 1000},
		"all ones":                 {mbrOf(mbrPart(0, mbrProtective, 1, all)), mbrForGPT, 0},
		"not from sector 1":        {mbrOf(mbrPart(0, mbrProtective, 2, 999)), mbrForGPT, 0},
		"hybrid":                   {mbrOf(gpt, linux), mbrHybrid, 0},
		"partitions":               {mbrOf(linux), mbrPlain, 0},
		"an entry of no size":      {mbrOf(gpt, mbrPart(0, 0x83, 2048, 0)), mbrForGPT, 1000},
		"an entry from sector 0":   {mbrOf(gpt, mbrPart(0, 0x83, 0, 5)), mbrForGPT, 1000},
		"a boot sector":            {mbrOf(mbrPart('N', 'T', 1, 999)), mbrNone, 0},
		"one behind a GPT's entry": {mbrOf(gpt, mbrPart('N', 'T', 1, 999)), mbrNone, 0},
		"half a mark":              {half, mbrNone, 0},
		"nothing":                  {make([]byte, mbrSize), mbrNone, 0},
	} {
		if got := classify(c.mbr); got != c.kind {
			t.Errorf("%s: %d, not %d", name, got, c.kind)
		}
		if got := protectedSize(c.mbr); got != c.told {
			t.Errorf("%s: a disk of %d sectors, not %d", name, got, c.told)
		}
		got := protect(c.mbr, 5000)
		switch unchanged := bytes.Equal(got, c.mbr); {
		case c.told == 0 && c.kind != mbrNone && !unchanged:
			t.Errorf("%s: changed", name)
		case c.told != 0 && (protectedSize(got) != 5000 || unchanged):
			t.Errorf("%s: covers %d sectors", name, protectedSize(got))
		case c.kind == mbrNone && (classify(got) != mbrForGPT || protectedSize(got) != 5000):
			t.Errorf("%s: no protection", name)
		}
	}
	if got := protectiveSize(1 << 33); got != all {
		t.Errorf("the protective size of a large disk is %#x", got)
	}
}

// TestReadMBRSkips: entries of no type or no size are no partitions.
func TestReadMBRSkips(t *testing.T) {
	mbr := mbrOf(mbrPart(0, 0x83, 2048, 0), mbrPart(0, 0, 2048, 10), mbrPart(0x80, 0x83, 2048, 10))
	entries, err := ReadMBR(bytes.NewReader(mbr), 4096)
	if err != nil || len(entries) != 1 || entries[0].Number != 3 || entries[0].Offset != 2048*4096 || entries[0].Size != 10*4096 || entries[0].Attributes != 0x183 {
		t.Errorf("%+v, %v", entries, err)
	}
	if _, err := ReadMBR(strings.NewReader("short"), 0); err == nil || !strings.HasPrefix(err.Error(), "MBR: ") {
		t.Errorf("a short disk: %v", err)
	}
}

// TestBackupOnlyWhereOneMayBe: what the disk says of a backup's place is followed only to where
// one may be: neither the primary header and its array, nor the end, which was looked at.
func TestBackupOnlyWhereOneMayBe(t *testing.T) {
	read := false
	s := source{r: watched{&read}, sectorSize: 512, sectors: 1000}
	for at, want := range map[disk.LBA]bool{-1: false, 0: false, 1: false, 2: false, 3: true, 998: true, 999: false, 1000: false, 1 << 40: false} {
		read = false
		if _, err := s.backupAt(at); err == nil || read != want {
			t.Errorf("%d: %v, read: %v", at, err, read)
		}
	}
}

// watched is a disk of zeroes that notes when it is read.
type watched struct{ read *bool }

func (w watched) ReadAt(p []byte, _ int64) (int, error) {
	*w.read = true
	clear(p)
	return len(p), nil
}

// TestAlternateOfDamaged: what is no header, or names a sector that no disk has, names no backup.
func TestAlternateOfDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		signature string
		at        uint64
		want      disk.LBA
	}{
		"a header":              {signature, 77, 77},
		"no header":             {"EFI PORT", 77, 0},
		"the end of numbers":    {signature, math.MaxUint64, 0},
		"the last sector":       {signature, uint64(maxLBA), maxLBA},
		"behind the last there": {signature, uint64(maxLBA) + 1, 0},
	} {
		image := make([]byte, 1024)
		copy(image[512:], c.signature)
		binary.LittleEndian.PutUint64(image[512+32:], c.at)
		if got := (source{r: bytes.NewReader(image), sectorSize: 512, sectors: 2}).alternateOfDamaged(); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

// TestCouldBeArray: entries that begin behind their end, or end behind the disk, are no array of
// ours: somebody's boot loader may lie there.
func TestCouldBeArray(t *testing.T) {
	entry := func(first, last uint64) []byte {
		e := make([]byte, entrySize)
		e[0] = 1
		binary.LittleEndian.PutUint64(e[32:], first)
		binary.LittleEndian.PutUint64(e[40:], last)
		return e
	}
	for name, c := range map[string]struct {
		array []byte
		want  bool
	}{
		"empty":           {make([]byte, 4*entrySize), true},
		"a partition":     {append(make([]byte, entrySize), entry(40, 99)...), true},
		"one sector":      {entry(40, 40), true},
		"backwards":       {entry(41, 40), false},
		"to the end":      {entry(40, 999), true},
		"behind the disk": {entry(40, 1000), false},
		"the second":      {append(entry(40, 99), entry(41, 40)...), false},
		"text":            {bytes.Repeat([]byte("boot loader, "), 40)[:4*entrySize], false},
	} {
		if got := couldBeArray(c.array, 1000); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPlaceOfThePrimaryArray: of a primary header that is not used only one that is whole is
// believed where its array is. A torn one is a hint, and what lies there must look like an
// array: else it is somebody's, and nothing is written over it.
func TestPlaceOfThePrimaryArray(t *testing.T) {
	const hint, first = 100, 200
	for name, c := range map[string]struct {
		at            uint64
		whole, array  bool // the header has a good checksum; an empty array is at the place
		place         disk.LBA
		foreign, none bool // none: there is no header
	}{
		"whole":                  {hint, true, false, hint, false, false},
		"torn":                   {hint, false, true, hint, false, false},
		"torn, and another's":    {hint, false, false, hint, true, false},
		"in the partitions":      {first, true, true, usualArrayLBA, true, false},
		"its end is":             {first - 31, true, true, usualArrayLBA, true, false},
		"right before them":      {first - 32, true, false, first - 32, false, false},
		"the header's own place": {primaryLBA, true, true, usualArrayLBA, true, false},
		"the end of numbers":     {math.MaxUint64, true, true, usualArrayLBA, true, false},
		"no header":              {hint, true, true, usualArrayLBA, true, true},
	} {
		image := bytes.Repeat([]byte("boot loader; "), 300*512/13+1)[:300*512]
		h := image[512:1024]
		clear(h)
		if !c.none {
			copy(h, signature)
		}
		binary.LittleEndian.PutUint32(h[12:], headerSize)
		binary.LittleEndian.PutUint64(h[72:], c.at)
		if c.whole {
			binary.LittleEndian.PutUint32(h[16:], headerCRC(h))
		} else {
			h[16] = ^byte(headerCRC(h))
		}
		if c.array {
			clear(image[hint*512 : (hint+32)*512])
		}
		s := &State{SectorSize: 512, base: &tableCopy{header: header{count: 128, first: first}}}
		s.findPrimaryArray(source{r: bytes.NewReader(image), sectorSize: 512, sectors: 300})
		if s.primaryArray != c.place || s.foreign != c.foreign {
			t.Errorf("%s: at %d, somebody's: %v", name, s.primaryArray, s.foreign)
		}
	}
}
