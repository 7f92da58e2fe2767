package gpt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	model "github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/sealpart/sealpart/disk"
)

// tableCopy is one of the two copies of a table, read and found whole.
type tableCopy struct {
	header
	entries []byte // the array, up to the end of its last sector
	parts   []*model.Partition
}

// slots returns the bytes of the array that its checksum covers.
func (c *tableCopy) slots() []byte { return c.entries[:c.count*entrySize] }

// same reports whether two copies describe the same table.
func (c *tableCopy) same(other *tableCopy) bool {
	return c.guid == other.guid && c.first == other.first && c.last == other.last &&
		c.count == other.count && bytes.Equal(c.slots(), other.slots())
}

// source is a disk that is being read: a device and its measures.
type source struct {
	r          io.ReaderAt
	sectorSize disk.Bytes
	sectors    disk.LBA
}

// lastLBA is where the backup header belongs.
func (s source) lastLBA() disk.LBA { return s.sectors - 1 }

// read reads n sectors; the caller has bounded n and the place.
func (s source) read(at, n disk.LBA) ([]byte, error) {
	b := make([]byte, n.Offset(s.sectorSize))
	got, err := s.r.ReadAt(b, int64(at.Offset(s.sectorSize)))
	if got == len(b) {
		return b, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, &readError{fmt.Errorf("read %d bytes at %d: %w", len(b), at.Offset(s.sectorSize), err)}
}

// readError is a failure of the disk, not of what is on it.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// copyAt reads and checks the copy whose header is in sector at.
func (s source) copyAt(at disk.LBA) (*tableCopy, error) {
	sector, err := s.read(at, 1)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(sector)
	if err != nil {
		return nil, err
	}
	if err := h.checkPlaces(at, s.sectors, arraySectors(h.count, s.sectorSize)); err != nil {
		return nil, err
	}
	c := &tableCopy{header: h}
	if c.entries, err = s.read(h.array, arraySectors(h.count, s.sectorSize)); err != nil {
		return nil, err
	}
	if got := crc32.ChecksumIEEE(c.slots()); got != h.arrayCRC {
		return nil, fmt.Errorf("the checksum of its entries is %08x, not %08x as it says", got, h.arrayCRC)
	}
	if c.parts, err = decode(h, c.entries); err != nil {
		return nil, err
	}
	if err := c.checkParts(s); err != nil {
		return nil, err
	}
	return c, nil
}

// truncatedError says that the primary header, which is whole, knows a backup
// behind the end of the disk. Nothing may be done to such a disk: data is missing.
type truncatedError struct {
	alternate, sectors disk.LBA
}

func (e truncatedError) Error() string {
	return fmt.Sprintf("its backup is at sector %d, but the disk ends after %d sectors (was the image cut short?)", e.alternate, e.sectors)
}

// checkPlaces compares the places of a header found in sector at with the disk and
// with each other, so that no later computation on them can leave the disk.
func (h header) checkPlaces(at, sectors, array disk.LBA) error {
	switch {
	case h.my != at:
		return fmt.Errorf("it says to be at sector %d, and is at %d", h.my, at)
	case at == primaryLBA && h.alternate >= sectors:
		return truncatedError{alternate: h.alternate, sectors: sectors}
	case at == primaryLBA && h.alternate <= primaryLBA:
		return fmt.Errorf("its backup cannot be at sector %d", h.alternate)
	case at != primaryLBA && h.alternate != primaryLBA:
		return fmt.Errorf("it says that the primary header is at sector %d", h.alternate)
	case h.first > h.last:
		return fmt.Errorf("the last usable sector %d lies before the first, %d", h.last, h.first)
	case h.last >= sectors:
		return fmt.Errorf("the last usable sector %d is not on the disk (%d sectors)", h.last, sectors)
	case h.first <= primaryLBA:
		return fmt.Errorf("the first usable sector %d is the header's own or lies before it", h.first)
	case at == primaryLBA && (h.array <= primaryLBA || h.array+array > h.first):
		return fmt.Errorf("its %d sectors of entries at %d do not lie between the header and the first usable sector %d", array, h.array, h.first)
	case at != primaryLBA && (h.array <= h.last || h.array+array > at):
		return fmt.Errorf("its %d sectors of entries at %d do not lie between the last usable sector %d and the header at %d", array, h.array, h.last, at)
	}
	return nil
}

// checkParts refuses partitions that cannot be: backwards, outside of the disk,
// over the table itself, over each other.
func (c *tableCopy) checkParts(s source) error {
	parts := slices.Clone(c.parts)
	slices.SortFunc(parts, func(a, b *model.Partition) int {
		return cmp.Compare(a.Start, b.Start)
	})
	array := c.array + arraySectors(c.count, s.sectorSize) - 1
	for i, p := range parts {
		switch {
		case p.End < p.Start:
			return fmt.Errorf("partition %d ends at sector %d, before its start at %d", p.Index, p.End, p.Start)
		case p.End >= uint64(s.sectors):
			return fmt.Errorf("partition %d ends at sector %d, and the disk has %d sectors", p.Index, p.End, s.sectors)
		case p.Start <= primaryLBA, touches(p, c.my, c.my), touches(p, c.array, array):
			return unsupportedf(remedyOverlap, "partition %d (sectors %d to %d) lies over the partition table", p.Index, p.Start, p.End)
		case i > 0 && p.Start <= parts[i-1].End:
			return unsupportedf(remedyOverlap, "partitions %d and %d share sectors %d to %d", parts[i-1].Index, p.Index, p.Start, min(p.End, parts[i-1].End))
		}
	}
	return nil
}

// touches reports whether p has a sector from first to last.
func touches(p *model.Partition, first, last disk.LBA) bool {
	return p.Start <= uint64(last) && p.End >= uint64(first)
}
