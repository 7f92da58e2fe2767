package gpt_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/disk"
)

// TestKeptBytes: what stands where nobody looks stays there, in every slot that is
// not changed, in reserved bytes, and behind the name of one that is.
func TestKeptBytes(t *testing.T) {
	f := forge(labelled(t, smallSize, small))
	copy(f.image, bytes.Repeat([]byte("boot"), 110)) // boot code and disk signature
	copy(f.at(0)[440:], "\x12\x34\x56\x78\x00\x00")
	f.both(func(lba int) {
		copy(f.entry(lba, 1)[56+16:], "residue behind the name")
		copy(f.entry(lba, 2)[56:], "\x00\xd8lone surrogate")
		copy(f.entry(lba, 4)[56+16:], "behind a grown one's name")
		copy(f.entry(lba, 9)[16:], "residue in an unused slot")
		f.put32(lba, fieldSize, 120)
		copy(f.at(lba)[92:], "a longer header")
		copy(f.at(lba)[130:], "reserved")
		f.put32(lba, fieldReserved, 7)
	})
	s := read(t, f.image)
	if writes, err := s.Writes(s.Table, s.Entries, smallSize); err != nil || len(writes) != 0 || len(s.Warnings) != 0 {
		t.Fatalf("nothing to do: %d writes, %v, %q", len(writes), err, s.Warnings)
	}
	entries := append([]disk.Entry(nil), s.Entries...)
	entries[3].Size += 512 // of partition 4
	got := forge(write(t, s, f.image, s.Table, append(entries, entryOf(6, 112, 8, "new"))))
	for _, lba := range []int{1, f.last()} {
		copy(got.entry(lba, 6), make([]byte, 128))
		got.entry(lba, 4)[40]-- // its last sector
		got.seal(lba)
	}
	if !bytes.Equal(got.image, f.image) {
		t.Error("more than partitions 4 and 6 has changed")
	}
}

// TestRemoved: the slot of a partition that is removed is zeroed, as every tool does.
func TestRemoved(t *testing.T) {
	f := forge(labelled(t, smallSize, small))
	s := read(t, f.image)
	got := write(t, s, f.image, s.Table, s.Entries[1:])
	f.both(func(lba int) { clear(f.entry(lba, 1)) })
	if !bytes.Equal(got, f.image) {
		t.Error("not the table without partition 1")
	}
	judge(t, save(t, got))
}

// TestArraySizes: arrays that do not fill their last sector, or are longer than usual.
func TestArraySizes(t *testing.T) {
	base := labelled(t, smallSize, small)
	for _, count := range []int{5, 6, 7, 8, 16, 48, 100, 127} {
		f := forge(base)
		copy(f.image[f.sector*2+5*128:], make([]byte, 123*128))
		f.relabel(count)
		if tail := count * 128 % 512; tail != 0 {
			copy(f.image[2*512+count*128:], "tail of the last sector")
			f.seal(1)
		}
		s := read(t, f.image)
		if s.Table.Slots != count || len(s.Entries) != 5 || len(s.Warnings) != 0 {
			t.Fatalf("%d entries: %+v, %q", count, s.Table, s.Warnings)
		}
		writes, err := s.Writes(s.Table, s.Entries, smallSize)
		if err != nil || len(writes) != 0 {
			t.Errorf("%d entries, nothing to do: %d writes, %v", count, len(writes), err)
		}
		entries := append([]disk.Entry(nil), s.Entries...)
		entries[4].Name = "changed"
		image := write(t, s, f.image, s.Table, entries)
		if !bytes.Equal(image[40*512:200*512], f.image[40*512:200*512]) {
			t.Errorf("%d entries: the data was changed", count)
		}
		path := save(t, image)
		judge(t, path)
		if out := dump(t, path); !strings.Contains(out, `name="changed"`) {
			t.Errorf("%d entries: sfdisk reads\n%s", count, out)
		}
		if tail := image[2*512+count*128 : 2*512+(count*128+511)/512*512]; len(tail) > 0 && !strings.HasPrefix("tail of the last sector", string(tail[:min(4, len(tail))])) {
			t.Errorf("%d entries: behind the array is %q", count, tail)
		}
	}
}

// TestMovedArray: firmware of some boards wants its boot loader in sector 2, so the
// array is moved (sgdisk -j). It stays there, and so does the boot loader.
func TestMovedArray(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	path := save(t, sample(t))
	run(t, "", "sgdisk", "-j", "1024", path)
	image := load(t, path)
	loader := bytes.Repeat([]byte("boot loader "), 32*512/12)
	copy(image[2*512:], loader)
	added := entryOf(2, 32768, 2048, "added")
	for name, change := range map[string]func(f forgery){
		"whole":               func(forgery) {},
		"primary array torn":  func(f forgery) { clear(f.image[1024*512 : 1025*512]) },
		"primary header torn": func(f forgery) { f.at(1)[fieldGUID]++ },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(image)
			change(f)
			s := read(t, f.image)
			after := write(t, s, f.image, s.Table, append(s.Entries, added))
			if !bytes.HasPrefix(after[2*512:], loader) {
				t.Error("the boot loader was overwritten")
			}
			judge(t, save(t, after))
		})
	}
	f := forge(image)
	clear(f.at(1))
	s := read(t, f.image)
	_, err := s.Writes(s.Table, s.Entries, disk.Bytes(len(image)))
	if err == nil || !strings.Contains(err.Error(), "what lies at sector 2, where it would go, is no partition array; not overwriting it") {
		t.Errorf("the place of the array is lost: %v", err)
	}
}

// TestMBRKept: boot flag and hybrid partitions are somebody's choice.
func TestMBRKept(t *testing.T) {
	base := labelled(t, smallSize, small)
	changes := map[string]func(mbr []byte){
		"boot flag":    func(mbr []byte) { mbr[446] = 0x80 },
		"size of ones": func(mbr []byte) { copy(mbr[446+12:], "\xff\xff\xff\xff") },
		"hybrid": func(mbr []byte) {
			copy(mbr[446+16:], "\x00\x00\x00\x00\x0c\x00\x00\x00\x28\x00\x00\x00\x08\x00\x00\x00")
		},
		"hybrid, short": func(mbr []byte) {
			copy(mbr[446+12:], "\x27\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x00\x00\x28\x00\x00\x00\x08\x00\x00\x00")
		},
		"cylinders gone": func(mbr []byte) { copy(mbr[446+1:], "\x00\x01\x00\xee\xfe\xff\xff") },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			f := forge(base)
			change(f.at(0))
			s := read(t, f.image)
			if hybrid := strings.HasPrefix(name, "hybrid"); len(s.Warnings) != 0 != hybrid || hybrid && !strings.HasPrefix(s.Warnings[0], "the MBR is a hybrid one") {
				t.Errorf("warnings: %q", s.Warnings)
			}
			got := write(t, s, f.image, s.Table, append(s.Entries, entryOf(6, 112, 8, "new")))
			if !bytes.Equal(got[:512], f.at(0)) {
				t.Errorf("sector 0 was changed:\n%x\n%x", f.at(0)[440:], got[440:512])
			}
		})
	}
}
