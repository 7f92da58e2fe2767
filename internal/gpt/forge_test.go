package gpt_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// The fields of a GPT header (UEFI 2.10, table 5-5).
const (
	fieldRevision  = 8
	fieldSize      = 12
	fieldCRC       = 16
	fieldReserved  = 20
	fieldMy        = 24
	fieldAlternate = 32
	fieldFirst     = 40
	fieldLast      = 48
	fieldGUID      = 56
	fieldArray     = 72
	fieldCount     = 80
	fieldEntrySize = 84
	fieldArrayCRC  = 88
)

// forgery is an image in which a test breaks things and makes checksums good again.
type forgery struct {
	image  []byte
	sector int
}

// forge starts from a copy of image.
func forge(image []byte) forgery { return forgery{bytes.Clone(image), 512} }

// last is the number of the last sector.
func (f forgery) last() int { return len(f.image)/f.sector - 1 }

// at returns the bytes of a sector.
func (f forgery) at(lba int) []byte { return f.image[lba*f.sector : (lba+1)*f.sector] }

// put32 and put64 set a field of the header in sector lba.
func (f forgery) put32(lba, field int, v uint32) { binary.LittleEndian.PutUint32(f.at(lba)[field:], v) }
func (f forgery) put64(lba, field int, v uint64) { binary.LittleEndian.PutUint64(f.at(lba)[field:], v) }

// entry returns the bytes of entry n, from 1, of the copy whose header is in lba.
func (f forgery) entry(lba, n int) []byte {
	array := int(binary.LittleEndian.Uint64(f.at(lba)[fieldArray:]))
	return f.image[array*f.sector+(n-1)*128:][:128]
}

// seal makes the checksums of the copy whose header is in sector lba good.
func (f forgery) seal(lba int) {
	h := f.at(lba)
	from := binary.LittleEndian.Uint64(h[fieldArray:]) * uint64(f.sector)
	size := uint64(binary.LittleEndian.Uint32(h[fieldCount:])) * uint64(binary.LittleEndian.Uint32(h[fieldEntrySize:]))
	if from+size > from && from+size <= uint64(len(f.image)) {
		binary.LittleEndian.PutUint32(h[fieldArrayCRC:], crc32.ChecksumIEEE(f.image[from:from+size]))
	}
	f.sealHeader(lba)
}

// sealHeader makes only the header's own checksum good.
func (f forgery) sealHeader(lba int) {
	h := f.at(lba)
	binary.LittleEndian.PutUint32(h[fieldCRC:], 0)
	size := min(binary.LittleEndian.Uint32(h[fieldSize:]), uint32(f.sector))
	binary.LittleEndian.PutUint32(h[fieldCRC:], crc32.ChecksumIEEE(h[:size]))
}

// both does something to the header of either copy and seals it.
func (f forgery) both(change func(lba int)) {
	for _, lba := range []int{1, f.last()} {
		change(lba)
		f.seal(lba)
	}
}

// relabel gives the disk an array of count entries, at the places that belong to it:
// behind the primary header, and right before the backup header.
func (f forgery) relabel(count int) {
	sectors := (count*128 + f.sector - 1) / f.sector
	from := f.last() - sectors
	backup := bytes.Clone(f.image[2*f.sector : (2+sectors)*f.sector])
	clear(f.image[(f.last()-32)*f.sector : f.last()*f.sector])
	copy(f.image[from*f.sector:], backup)
	f.put64(f.last(), fieldArray, uint64(from))
	f.both(func(lba int) { f.put32(lba, fieldCount, uint32(count)) })
}

// entryOf makes an entry of whole sectors of 512 bytes.
func entryOf(number int, first, sectors disk.LBA, name string) disk.Entry {
	id := uuid.UUID{15: byte(number), 0: 0xbb}
	return disk.Entry{Number: number, Type: linux, UUID: id, Name: name, Extent: disk.Extent{Offset: first.Offset(512), Size: sectors.Offset(512)}}
}
