package main

import (
	"encoding/binary"
	"math"
	"testing"
)

// put64 and put32 set a header field of both copies, with good checksums.
func put64(field int, value uint64) func(victim) {
	return func(v victim) {
		for _, header := range []int{primary, backup} {
			binary.LittleEndian.PutUint64(v.at(header)[field:], value)
		}
		v.seal()
	}
}

func put32(field int, value uint32) func(victim) {
	return func(v victim) {
		for _, header := range []int{primary, backup} {
			binary.LittleEndian.PutUint32(v.at(header)[field:], value)
		}
		v.seal()
	}
}

// entries changes both arrays.
func entries(change func(array func(n int) []byte)) func(victim) {
	return func(v victim) {
		for _, lba := range []int{primaryArray, backupArray} {
			change(func(n int) []byte { return v.entry(lba, n) })
		}
		v.seal()
	}
}

// sectors places partition n.
func sectors(n int, first, last uint64) func(victim) {
	return entries(func(array func(n int) []byte) {
		binary.LittleEndian.PutUint64(array(n)[32:], first)
		binary.LittleEndian.PutUint64(array(n)[40:], last)
	})
}

// flip breaks a byte, and no checksum is made good.
func flip(lbas ...int) func(victim) {
	return func(v victim) {
		for _, lba := range lbas {
			v.at(lba)[60] ^= 1
		}
	}
}

// erase clears sectors.
func erase(first, last int) func(victim) {
	return func(v victim) { clear(v.at(first)[:(last-first+1)*sector]) }
}

// all does one thing after the other.
func all(changes ...func(victim)) func(victim) {
	return func(v victim) {
		for _, change := range changes {
			change(v)
		}
	}
}

// plainMBR makes sector 0 the MBR of one partition of the given type.
func plainMBR(kind byte) func(victim) {
	return func(v victim) {
		e := v.image[446:462]
		clear(e)
		e[4] = kind
		binary.LittleEndian.PutUint32(e[8:], rootStart/sector)
		binary.LittleEndian.PutUint32(e[12:], 8<<20/sector)
	}
}

// hybrid adds a real partition, the second one, behind what the protective one covers.
func hybrid(v victim) {
	protects(otherStart/sector - 1)(v)
	e := v.image[462:478]
	e[4] = 0x83
	binary.LittleEndian.PutUint32(e[8:], otherStart/sector)
	binary.LittleEndian.PutUint32(e[12:], otherSize/sector)
}

// protects sets how much the protective MBR covers.
func protects(size uint32) func(victim) {
	return func(v victim) { binary.LittleEndian.PutUint32(v.image[458:], size) }
}

// loader writes what is no array where the array belongs.
func loader(v victim) {
	for i := range 32 * sector {
		v.at(primaryArray)[i] = byte(i%251) | 0x80
	}
}

func nothing(victim) {}

var hostileTables = []hostile{
	{name: "nothing wrong", change: nothing, want: used},
	{name: "primary header lost", change: erase(primary, primary), want: used},
	{name: "primary header torn", change: flip(primary), want: used},
	{name: "primary array torn", change: flip(primaryArray), want: used},
	{name: "primary copy lost", change: erase(primary, primaryArray+31), want: used},
	{name: "backup header lost", change: erase(backup, backup), want: used},
	{name: "backup header torn", change: flip(backup), want: used},
	{name: "backup array torn", change: flip(backupArray), want: used},
	{name: "backup copy lost", change: erase(backupArray, backup), want: used},
	{name: "no protective MBR", change: erase(0, 0), want: used},
	{name: "protective MBR of another size", change: protects(1000), want: used},
	{name: "hybrid MBR", change: hybrid, want: used},
	{name: "two partitions of one UUID", change: entries(func(e func(int) []byte) { copy(e(2)[16:32], e(1)[16:32]) }), want: used},
	{name: "two partitions of one name", change: entries(func(e func(int) []byte) { copy(e(2)[56:], e(1)[56:128]) }), want: used},
	{name: "name that steers a terminal", change: entries(func(e func(int) []byte) { copy(e(2)[56:], "\x1b\x00[\x002\x00J\x00\n\x00") }), want: used},
	{name: "name that is no UTF-16", change: entries(func(e func(int) []byte) { copy(e(2)[56:], "\x00\xd8\x00\xd8a\x00") }), want: used},
	{name: "attributes nobody knows", change: entries(func(e func(int) []byte) { copy(e(2)[48:], "\xff\xff\xff\xff\xff\xff\xff\xff") }), want: used},
	{name: "overwritten from the start", change: erase(0, primaryArray+31), want: refused},
	{name: "both headers torn", change: flip(primary, backup), want: refused},
	{name: "both arrays torn", change: flip(primaryArray, backupArray), want: refused},
	{name: "primary header and backup array torn", change: flip(primary, backupArray), want: refused},
	{name: "both signatures lost", change: all(erase(primary, primary), erase(backup, backup)), want: refused},
	{name: "no table", change: all(erase(0, primaryArray+31), erase(backupArray, backup)), want: refused},
	{name: "MBR only", change: all(plainMBR(0x83), erase(primary, primaryArray+31), erase(backupArray, backup)), want: refused},
	{name: "MBR over a GPT", change: plainMBR(0x83), want: refused},
	{name: "4294967295 entries", change: put32(fieldCount, math.MaxUint32), want: refused},
	{name: "no entries", change: put32(fieldCount, 0), want: refused},
	{name: "entries of 256 bytes", change: put32(fieldEntrySize, 256), want: refused},
	{name: "entries of 0 bytes", change: put32(fieldEntrySize, 0), want: refused},
	{name: "array at the end of numbers", change: put64(fieldArray, math.MaxUint64), want: refused},
	{name: "array in the partitions", change: put64(fieldArray, 5000), want: refused},
	{name: "array behind the disk", change: put64(fieldArray, 1<<40), want: refused},
	{name: "own place wrong", change: put64(fieldMy, 7), want: refused},
	{name: "first usable sector in the header", change: put64(fieldFirst, 1), want: refused},
	{name: "usable sectors backwards", change: put64(fieldLast, 33), want: refused},
	{name: "usable sectors behind the disk", change: put64(fieldLast, lastSector+1), want: refused},
	{name: "backup behind the disk", change: put64(fieldAlternate, lastSector+1), want: refused},
	{name: "backup at the end of numbers", change: put64(fieldAlternate, math.MaxUint64), want: refused},
	{name: "partition behind the disk", change: sectors(2, otherStart/sector, lastSector+1), want: refused},
	{name: "partition over the backup", change: sectors(2, otherStart/sector, lastSector), want: refused},
	{name: "partition over the header", change: sectors(1, 1, 5000), want: refused},
	{name: "partition backwards", change: sectors(1, 5000, 4000), want: refused},
	{name: "partition of all numbers", change: sectors(1, 0, math.MaxUint64), want: refused},
	{name: "partition in another", change: sectors(2, 3000, 4000), want: refused},
	{name: "cut by a sector", change: nothing, want: refused, size: diskSize - sector},
	{name: "cut inside a sector", change: nothing, want: refused, size: diskSize - 1},
	{name: "cut inside root", change: nothing, want: refused, size: 8 << 20},
	{name: "cut inside root and primary copy lost", change: erase(primary, primaryArray+31), want: refused, size: 8 << 20},
	{name: "cut inside the array", change: nothing, want: refused, size: 3 * sector},
	{name: "cut to a sector", change: nothing, want: refused, size: sector},
	{name: "cut to a byte", change: nothing, want: refused, size: 1},
	{name: "grown by a sector", change: nothing, want: used, size: diskSize + sector},
	{name: "grown by half a sector", change: nothing, want: used, size: diskSize + sector/2},
	{name: "grown, primary copy lost", change: erase(primary, primaryArray+31), want: used, size: diskSize + 16<<20},
	{name: "grown, primary copy lost, and a boot loader in its place", change: all(erase(primary, primaryArray+31), loader), want: refused, size: diskSize + 16<<20},
	{name: "grown, primary copy and protective MBR lost", change: erase(0, primaryArray+31), want: refused, size: diskSize + 16<<20},
	{name: "partition outside the usable sectors", change: put64(fieldLast, otherStart/sector), want: used},
}

// TestHostileTables: broken and hostile partition tables.
func TestHostileTables(t *testing.T) {
	root := makeRoot(t, 16<<20, "", "mkfs.ext4", "-q", "FILE")
	suite{golden: "tables.txt", base: makeDisk(t, root), judge: judgeSame, cases: hostileTables}.run(t)
}
