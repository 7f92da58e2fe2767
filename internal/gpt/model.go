package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/diskfs/go-diskfs/backend"
	model "github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
)

// stage is the disk that go-diskfs sees: the first sectors of one, in memory, with
// a table that has been checked and brought into the only form the library knows
// (a header of 92 bytes, the array at sector 2). What it writes behind them, the
// backup, is let go: only the array is taken from here.
type stage struct {
	front []byte
	size  int64
}

var _ backend.WritableFile = (*stage)(nil)

// newStage makes a stage for the array of h.
func newStage(h header, array []byte) *stage {
	sector := len(h.raw)
	front := make([]byte, 2*sector+len(array))
	copy(front[2*sector:], array)
	plain := h
	plain.raw = make([]byte, sector)
	copy(plain.raw, signature)
	binary.LittleEndian.PutUint32(plain.raw[8:], revision)
	binary.LittleEndian.PutUint32(plain.raw[12:], headerSize)
	binary.LittleEndian.PutUint32(plain.raw[84:], entrySize)
	plain.my, plain.array = primaryLBA, usualArrayLBA
	plain.alternate = max(h.my, h.alternate)
	plain.arrayCRC = crc32.ChecksumIEEE(array[:h.count*entrySize])
	copy(front[sector:], plain.build())
	return &stage{front: front, size: int64(plain.alternate+1) * int64(sector)}
}

// table lets go-diskfs read the stage.
func (s *stage) table(sectorSize disk.Bytes) (*model.Table, error) {
	return model.Read(s, int(sectorSize), int(sectorSize))
}

// decode returns the used entries of an array, as the library understands them.
func decode(h header, array []byte) ([]*model.Partition, error) {
	table, err := newStage(h, array).table(disk.Bytes(len(h.raw)))
	if err != nil {
		return nil, err
	}
	return table.Partitions, nil
}

// encode returns h.count entries as bytes. The entries have passed checkEntries.
func encode(h header, array []byte, entries []disk.Entry) ([]byte, error) {
	s, sectorSize := newStage(h, array), disk.Bytes(len(h.raw))
	table, err := s.table(sectorSize)
	if err != nil {
		return nil, err
	}
	table.Partitions = nil
	for _, e := range entries {
		table.Partitions = append(table.Partitions, toModel(e, sectorSize))
	}
	if err := table.Write(s, s.size); err != nil {
		return nil, fmt.Errorf("serialise the partition table: %w", err)
	}
	from := 2 * len(h.raw)
	return s.front[from : from+h.count*entrySize], nil
}

// toModel turns an entry into the library's.
func toModel(e disk.Entry, sectorSize disk.Bytes) *model.Partition {
	return &model.Partition{
		Index: e.Number, Type: model.Type(e.Type.String()), GUID: e.UUID.String(),
		Start: uint64(e.Offset.LBA(sectorSize)), End: uint64(e.End().LBA(sectorSize) - 1), Size: uint64(e.Size),
		Name: e.Name, Attributes: e.Attributes,
	}
}

// fromModel turns the library's entry into ours. Its places have been checked.
func fromModel(p *model.Partition, sectorSize disk.Bytes) (disk.Entry, error) {
	typ, err := uuid.Parse(string(p.Type))
	if err != nil {
		return disk.Entry{}, err
	}
	id, err := uuid.Parse(p.GUID)
	if err != nil {
		return disk.Entry{}, err
	}
	extent := disk.Extent{
		Offset: disk.LBA(p.Start).Offset(sectorSize),
		Size:   disk.LBA(p.End - p.Start + 1).Offset(sectorSize),
	}
	return disk.Entry{Number: p.Index, Type: typ, UUID: id, Name: p.Name, Attributes: p.Attributes, Extent: extent}, nil
}

// newModel returns the header sector and the MBR of an empty table, in the
// library's own layout.
func newModel(size, sectorSize disk.Bytes, guid uuid.UUID) (sector, mbr []byte, err error) {
	s := &stage{front: make([]byte, 2*sectorSize+disk.Bytes(usualEntries*entrySize).RoundUp(sectorSize)), size: int64(size)}
	table := &model.Table{
		LogicalSectorSize: int(sectorSize), PhysicalSectorSize: int(sectorSize),
		GUID: guid.String(), ProtectiveMBR: true,
	}
	if err := table.Write(s, s.size); err != nil {
		return nil, nil, fmt.Errorf("make a partition table: %w", err)
	}
	return s.front[sectorSize : 2*sectorSize], s.front[:mbrSize], nil
}

// ReadAt reads the front; there is nothing behind it.
func (s *stage) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(s.front)) {
		return 0, io.EOF
	}
	n := copy(p, s.front[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt keeps what lies in the front.
func (s *stage) WriteAt(p []byte, off int64) (int, error) {
	if off >= 0 && off < int64(len(s.front)) {
		copy(s.front[off:], p)
	}
	return len(p), nil
}

// Seek answers the library's question for the size of the disk.
func (s *stage) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekEnd {
		return 0, fs.ErrInvalid
	}
	return s.size + offset, nil
}

// Stat, Read and Close are there for the library's interface; it calls none.
func (s *stage) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

// Read is never called; see Stat.
func (s *stage) Read([]byte) (int, error) { return 0, fs.ErrInvalid }

// Close is never called; see Stat.
func (s *stage) Close() error { return nil }
