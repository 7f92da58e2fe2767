package gpt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/sealpart/sealpart/disk"
)

// The MBR's layout (UEFI 2.10, section 5.2).
const (
	mbrSize       = 512
	mbrEntries    = 446 // where the four entries start
	mbrEntrySize  = 16
	mbrProtective = 0xee // the type of the entry that stands for a GPT
)

// mbrKind is what sector 0 says.
type mbrKind int

const (
	mbrNone   mbrKind = iota // no MBR, or one without partitions
	mbrPlain                 // partitions, none of which stands for a GPT
	mbrForGPT                // one entry that stands for the GPT
	mbrHybrid                // the same, with other partitions beside it
)

// mbrEntry returns the bytes of entry i, from 0.
func mbrEntry(mbr []byte, i int) []byte {
	return mbr[mbrEntries+i*mbrEntrySize : mbrEntries+(i+1)*mbrEntrySize]
}

// classify tells what an MBR says. A boot sector of a file system carries the same
// mark at its end, but has text or code where the boot flags would be.
func classify(mbr []byte) mbrKind {
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return mbrNone
	}
	protective, others := false, 0
	for i := range 4 {
		e := mbrEntry(mbr, i)
		switch {
		case e[0]&0x7f != 0:
			return mbrNone
		case e[4] == mbrProtective:
			protective = true
		case e[4] != 0 && le32(e, 8) != 0 && le32(e, 12) != 0:
			others++
		}
	}
	switch {
	case protective && others == 0:
		return mbrForGPT
	case protective:
		return mbrHybrid
	case others > 0:
		return mbrPlain
	}
	return mbrNone
}

// protectiveEntry returns the entry of an MBR that covers the GPT from sector 1,
// nil if there is none, or if other partitions share the MBR: then how far it
// reaches was somebody's choice.
func protectiveEntry(mbr []byte) []byte {
	if classify(mbr) != mbrForGPT {
		return nil
	}
	for i := range 4 {
		if e := mbrEntry(mbr, i); e[4] == mbrProtective && le32(e, 8) == 1 {
			return e
		}
	}
	return nil
}

// protectiveSize is the size field of a protective MBR: all sectors but the
// first, or all ones where that does not fit (UEFI 2.10, table 5-4).
func protectiveSize(sectors disk.LBA) uint32 {
	return uint32(min(sectors-1, math.MaxUint32))
}

// protectedSize returns what the MBR says of the disk's size in sectors, 0 where
// it says nothing.
func protectedSize(mbr []byte) disk.LBA {
	e := protectiveEntry(mbr)
	if e == nil || le32(e, 12) == math.MaxUint32 {
		return 0
	}
	return disk.LBA(le32(e, 12)) + 1
}

// protect returns mbr made to cover a GPT disk of the given size. Boot code, disk
// signature and boot flag stay, and so does a hybrid MBR as a whole.
func protect(mbr []byte, sectors disk.LBA) []byte {
	out := bytes.Clone(mbr)
	switch e := protectiveEntry(out); {
	case e != nil && le32(e, 12) != math.MaxUint32: // all ones is right on any disk
		binary.LittleEndian.PutUint32(e[12:], protectiveSize(sectors))
	case classify(out) == mbrNone:
		clear(out[mbrEntries:510])
		e := mbrEntry(out, 0)
		// CHS 0/0/2 to the largest there is, as the specification has it.
		copy(e, []byte{0, 0, 2, 0, mbrProtective, 0xff, 0xff, 0xff, 1, 0, 0, 0})
		binary.LittleEndian.PutUint32(e[12:], protectiveSize(sectors))
		out[510], out[511] = 0x55, 0xaa
	}
	return out
}

// ReadMBR returns the primary partitions of an MBR, numbered from 1. Their Type is
// the nil UUID, and Attributes holds the MBR's type byte, with 0x100 added for the
// boot flag; logical partitions are not looked for. sectorSize is that of the disk,
// 0 meaning 512. It returns ErrNone where there is no MBR with partitions.
func ReadMBR(r io.ReaderAt, sectorSize disk.Bytes) ([]disk.Entry, error) {
	if sectorSize == 0 {
		sectorSize = 512
	}
	mbr, err := source{r: r, sectorSize: mbrSize}.read(0, 1)
	if err != nil {
		return nil, fmt.Errorf("MBR: %w", err)
	}
	if classify(mbr) == mbrNone {
		return nil, ErrNone
	}
	var entries []disk.Entry
	for i := range 4 {
		e := mbrEntry(mbr, i)
		if e[4] == 0 || le32(e, 12) == 0 {
			continue
		}
		entries = append(entries, disk.Entry{
			Number: i + 1, Attributes: uint64(e[4]) | uint64(e[0]>>7)<<8,
			Extent: disk.Extent{
				Offset: disk.LBA(le32(e, 8)).Offset(sectorSize),
				Size:   disk.LBA(le32(e, 12)).Offset(sectorSize),
			},
		})
	}
	return entries, nil
}
