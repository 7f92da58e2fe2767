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

func nothing(victim) {}

var hostileTables = []hostile{
	{"nothing wrong", nothing, used},
	{"primary header lost", erase(primary, primary), used},
	{"primary header torn", flip(primary), used},
	{"primary array torn", flip(primaryArray), used},
	{"primary copy lost", erase(primary, primaryArray+31), used},
	{"backup header lost", erase(backup, backup), used},
	{"backup header torn", flip(backup), used},
	{"backup array torn", flip(backupArray), used},
	{"backup copy lost", erase(backupArray, backup), used},
	{"no protective MBR", erase(0, 0), used},
	{"protective MBR of another size", protects(1000), used},
	{"hybrid MBR", hybrid, used},
	{"two partitions of one UUID", entries(func(e func(int) []byte) { copy(e(2)[16:32], e(1)[16:32]) }), used},
	{"two partitions of one name", entries(func(e func(int) []byte) { copy(e(2)[56:], e(1)[56:128]) }), used},
	{"name that steers a terminal", entries(func(e func(int) []byte) { copy(e(2)[56:], "\x1b\x00[\x002\x00J\x00\n\x00") }), used},
	{"name that is no UTF-16", entries(func(e func(int) []byte) { copy(e(2)[56:], "\x00\xd8\x00\xd8a\x00") }), used},
	{"attributes nobody knows", entries(func(e func(int) []byte) { copy(e(2)[48:], "\xff\xff\xff\xff\xff\xff\xff\xff") }), used},
	{"overwritten from the start", erase(0, primaryArray+31), refused},
	{"both headers torn", flip(primary, backup), refused},
	{"both arrays torn", flip(primaryArray, backupArray), refused},
	{"primary header and backup array torn", flip(primary, backupArray), refused},
	{"both signatures lost", all(erase(primary, primary), erase(backup, backup)), refused},
	{"no table", all(erase(0, primaryArray+31), erase(backupArray, backup)), refused},
	{"MBR only", all(plainMBR(0x83), erase(primary, primaryArray+31), erase(backupArray, backup)), refused},
	{"MBR over a GPT", plainMBR(0x83), refused},
	{"4294967295 entries", put32(fieldCount, math.MaxUint32), refused},
	{"no entries", put32(fieldCount, 0), refused},
	{"entries of 256 bytes", put32(fieldEntrySize, 256), refused},
	{"entries of 0 bytes", put32(fieldEntrySize, 0), refused},
	{"array at the end of numbers", put64(fieldArray, math.MaxUint64), refused},
	{"array in the partitions", put64(fieldArray, 5000), refused},
	{"array behind the disk", put64(fieldArray, 1<<40), refused},
	{"own place wrong", put64(fieldMy, 7), refused},
	{"first usable sector in the header", put64(fieldFirst, 1), refused},
	{"usable sectors backwards", put64(fieldLast, 33), refused},
	{"usable sectors behind the disk", put64(fieldLast, lastSector+1), refused},
	{"backup behind the disk", put64(fieldAlternate, lastSector+1), refused},
	{"backup at the end of numbers", put64(fieldAlternate, math.MaxUint64), refused},
	{"partition behind the disk", sectors(2, otherStart/sector, lastSector+1), refused},
	{"partition over the backup", sectors(2, otherStart/sector, lastSector), refused},
	{"partition over the header", sectors(1, 1, 5000), refused},
	{"partition backwards", sectors(1, 5000, 4000), refused},
	{"partition of all numbers", sectors(1, 0, math.MaxUint64), refused},
	{"partition in another", sectors(2, 3000, 4000), refused},
	{"partition outside the usable sectors", put64(fieldLast, otherStart/sector), used},
}

// TestHostileTables: broken and hostile partition tables.
func TestHostileTables(t *testing.T) {
	root := makeRoot(t, 16<<20, "", "mkfs.ext4", "-q", "FILE")
	suite{golden: "tables.txt", base: makeDisk(t, root), judge: judgeSame, cases: hostileTables}.run(t)
}
