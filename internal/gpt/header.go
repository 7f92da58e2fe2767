package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// Sizes of UEFI 2.10, tables 5-5 and 5-6.
const (
	signature  = "EFI PART"
	revision   = 0x00010000
	headerSize = 92  // without what a later revision may append
	entrySize  = 128 // the only one in use; others are refused
	maxEntries = 1024
	// possibleEntries is more than any program makes: one that is asked for all of the space
	// in front of the usual first partition makes a few thousand.
	possibleEntries = 64 << 10
	usualEntries    = 128
	primaryLBA      = 1 // of the primary header
	usualArrayLBA   = 2 // of the primary array
)

// errNoSignature says that a sector is no GPT header at all.
var errNoSignature = errors.New(`there is no "EFI PART" signature`)

// header is a GPT header whose checksum and plain numbers are good.
type header struct {
	raw       []byte // the whole sector, to be written back with what it has beyond our fields
	my        disk.LBA
	alternate disk.LBA
	first     disk.LBA // first usable
	last      disk.LBA // last usable
	guid      uuid.UUID
	array     disk.LBA
	count     int
	arrayCRC  uint32
}

// parseHeader reads the header in a sector. Places are not compared with the
// disk yet, but each fits an LBA.
func parseHeader(sector []byte) (header, error) {
	if string(sector[:8]) != signature {
		return header{}, errNoSignature
	}
	if err := checkHeaderCRC(sector); err != nil {
		return header{}, err
	}
	if r := le32(sector, 8); r != revision {
		return header{}, unsupportedf(remedyOther, "revision %#08x is not known", r)
	}
	if size := le32(sector, 84); size != entrySize {
		err := unsupportedf(remedyEntries, "entries of %d bytes are not supported, only %d", size, entrySize)
		return header{}, soundOr(size > entrySize && size&(size-1) == 0 && size <= uint32(len(sector)), err)
	}
	count := le32(sector, 80)
	if count == 0 || count > maxEntries {
		err := unsupportedf(remedyArray, "an array of %d entries is not supported, only 1 to %d", count, maxEntries)
		return header{}, soundOr(count != 0 && count <= possibleEntries, err)
	}
	h := header{raw: sector, guid: guidAt(sector, 56), count: int(count), arrayCRC: le32(sector, 88)}
	return h, h.parsePlaces(sector)
}

// checkHeaderCRC compares a header with its checksum.
func checkHeaderCRC(sector []byte) error {
	size := le32(sector, 12)
	if size < headerSize || size > uint32(len(sector)) {
		return fmt.Errorf("a header size of %d is not between %d and the sector size %d", size, headerSize, len(sector))
	}
	if want, got := le32(sector, 16), headerCRC(sector); want != got {
		return fmt.Errorf("the header's checksum is %08x, not %08x as it says", got, want)
	}
	return nil
}

// headerCRC computes the checksum over HeaderSize bytes, its own field as zero.
func headerCRC(sector []byte) uint32 {
	zero := [4]byte{}
	sum := crc32.ChecksumIEEE(sector[:16])
	sum = crc32.Update(sum, crc32.IEEETable, zero[:])
	return crc32.Update(sum, crc32.IEEETable, sector[20:le32(sector, 12)])
}

// parsePlaces reads the LBAs of a header.
func (h *header) parsePlaces(sector []byte) error {
	for _, field := range []struct {
		at   int
		to   *disk.LBA
		name string
	}{
		{24, &h.my, "own place"}, {32, &h.alternate, "place of the other header"},
		{40, &h.first, "first usable sector"}, {48, &h.last, "last usable sector"},
		{72, &h.array, "place of the array"},
	} {
		value := binary.LittleEndian.Uint64(sector[field.at:])
		if value > maxLBA {
			return fmt.Errorf("the %s, sector %d, is on no disk", field.name, value)
		}
		*field.to = disk.LBA(value)
	}
	return nil
}

// maxLBA keeps every byte offset inside an int64, at the largest sector size.
const maxLBA = 1<<51 - 1

// arraySectors returns how many sectors count entries take, rounded up.
func arraySectors(count int, sectorSize disk.Bytes) disk.LBA {
	return disk.Bytes(count * entrySize).RoundUp(sectorSize).LBA(sectorSize)
}

// build returns the sector of a header with h's values: h.raw with the fields that
// we know replaced, so that a longer header and reserved bytes stay as they are.
func (h header) build() []byte {
	sector := append([]byte(nil), h.raw...)
	for at, place := range map[int]disk.LBA{24: h.my, 32: h.alternate, 40: h.first, 48: h.last, 72: h.array} {
		binary.LittleEndian.PutUint64(sector[at:], uint64(place))
	}
	putGUID(sector[56:], h.guid)
	binary.LittleEndian.PutUint32(sector[80:], uint32(h.count))
	binary.LittleEndian.PutUint32(sector[88:], h.arrayCRC)
	binary.LittleEndian.PutUint32(sector[16:], headerCRC(sector))
	return sector
}

// le32 reads a little-endian number.
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

// guidAt reads a GUID as GPT stores it: the first three fields little-endian
// (UEFI 2.10, appendix A).
func guidAt(b []byte, at int) uuid.UUID {
	var u uuid.UUID
	putGUID(u[:], uuid.UUID(b[at:at+16])) // swapping is its own inverse
	return u
}

// putGUID writes a GUID as GPT stores it.
func putGUID(to []byte, u uuid.UUID) {
	for i, from := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		to[i] = u[from]
	}
}
