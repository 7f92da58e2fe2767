package luks2

import (
	"bytes"
	"fmt"
	"hash"
	"io"
)

// SaveZone keeps what recovery needs of the zone that begins at logical offset, and
// syncs: old is what lies there now, as it is on the device. Call it before MarkHot;
// with the resilience "datashift" it does nothing, since the old bytes stay where
// they are. It refuses while a header on disk may list a hot zone, whose record it
// would overwrite: commit MarkDone first.
//
// A power cut leaves a torn record that no header refers to.
func (h *Header) SaveZone(d Device, offset int64, old []byte) error {
	r, err := h.saving(offset, int64(len(old)))
	if err != nil {
		return err
	}
	record := old
	switch r.Resilience {
	case "datashift":
		return nil
	case "checksum":
		record = r.Sums(old)
	}
	return h.saveRecord(d, r, offset, record)
}

// saving returns the conversion, where the zone may be saved.
func (h *Header) saving(offset, length int64) (*Reencryption, error) {
	r, err := h.continuable()
	if err != nil {
		return nil, err
	}
	if err := r.checkZone(offset, length); err != nil {
		return nil, fmt.Errorf("save the zone of %d bytes at %d: %w", length, offset, err)
	}
	if h.hotOnDisk {
		return nil, fmt.Errorf("save the zone at %d: the header on disk still has a hot zone", offset)
	}
	return r, nil
}

// JournalFor returns where SaveZone would write the old bytes of a zone, with the
// resilience "journal", for those who write them there in parallel, and sync.
func (h *Header) JournalFor(offset, length int64) (at int64, err error) {
	r, err := h.saving(offset, length)
	if err != nil {
		return 0, err
	}
	if r.Resilience != "journal" {
		return 0, fmt.Errorf("save the zone at %d: the resilience %s has no journal", offset, r.Resilience)
	}
	return r.AreaOffset, nil
}

// SaveSums is SaveZone for the resilience "checksum", with checksums that Sums made
// of the zone of length bytes at offset.
//
// It may replace those of a zone that the header on disk still lists as hot, once
// that zone's new bytes are durable: none of its blocks has the checksum of an old
// one any more, whatever zone that is from, so a recovery leaves them alone. One
// commit then says that it is done and the next is hot.
func (h *Header) SaveSums(d Device, offset, length int64, sums []byte) error {
	r, err := h.continuable()
	if err != nil {
		return err
	}
	err = r.checkZone(offset, length)
	if err == nil && (r.Resilience != "checksum" || len(sums) != r.SumsSize(length)) {
		err = fmt.Errorf("%d bytes are not its checksums, for the resilience %s", len(sums), r.Resilience)
	}
	if err != nil {
		return fmt.Errorf("save the checksums of the zone of %d bytes at %d: %w", length, offset, err)
	}
	return h.saveRecord(d, r, offset, sums)
}

// saveRecord writes a record, and syncs.
func (h *Header) saveRecord(d Device, r *Reencryption, offset int64, record []byte) error {
	if _, err := d.WriteAt(record, r.AreaOffset); err != nil {
		return fmt.Errorf("save the zone at %d: %w", offset, err)
	}
	return d.Sync()
}

// SumsSize returns how many bytes the checksums of a zone of length bytes take; 0
// where the resilience is not "checksum".
func (r *Reencryption) SumsSize(length int64) int {
	newHash, err := newHash(r.Hash)
	if err != nil || r.ChecksumSectorSize == 0 {
		return 0
	}
	return int(length/int64(r.ChecksumSectorSize)) * newHash().Size()
}

// Sums returns the checksums of a zone's blocks, one after the other; nil where the
// resilience is not "checksum". Those of parts of a zone, put together, are those of
// the zone, so that several goroutines may share the work.
func (r *Reencryption) Sums(zone []byte) []byte {
	newHash, err := newHash(r.Hash)
	if err != nil || r.ChecksumSectorSize == 0 {
		return nil
	}
	h, out := newHash(), make([]byte, 0, r.SumsSize(int64(len(zone))))
	for ; len(zone) >= r.ChecksumSectorSize; zone = zone[r.ChecksumSectorSize:] {
		h.Reset()
		h.Write(zone[:r.ChecksumSectorSize])
		out = h.Sum(out)
	}
	return out
}

// SavedZone is what SaveZone kept of the hot zone.
type SavedZone struct {
	// BlockSize is the unit in which the zone is recovered, in bytes.
	BlockSize int
	journal   []byte
	sums      []byte
	hash      hash.Hash
}

// LoadZone reads what was kept of the hot zone of a volume in the state Crash, with
// the resilience "checksum" or "journal".
func (h *Header) LoadZone(from io.ReaderAt) (*SavedZone, error) {
	r, err := h.continuable()
	if err != nil {
		return nil, err
	}
	if r.State != Crash || r.shifts() || r.HotLength > r.MaxZone() || r.HotLength%r.unit() != 0 {
		return nil, fmt.Errorf("load the hot zone: nothing was kept of its %d bytes", r.HotLength)
	}
	z := &SavedZone{BlockSize: int(r.unit())}
	if r.Resilience == "journal" {
		z.journal = make([]byte, r.HotLength)
		return z, readRecord(from, z.journal, r.AreaOffset)
	}
	newHash, err := newHash(r.Hash)
	if err != nil {
		return nil, err
	}
	z.BlockSize, z.hash = r.ChecksumSectorSize, newHash()
	z.sums = make([]byte, r.HotLength/int64(z.BlockSize)*int64(z.hash.Size()))
	return z, readRecord(from, z.sums, r.AreaOffset)
}

func readRecord(r io.ReaderAt, p []byte, offset int64) error {
	if err := readFull(r, p, offset); err != nil {
		return fmt.Errorf("load the hot zone: %w", err)
	}
	return nil
}

// Old returns the old content of block i, which is to be converted; now is what lies
// on the device. It returns nil where the block is converted already.
func (z *SavedZone) Old(i int, now []byte) []byte {
	if z.journal != nil {
		return z.journal[i*z.BlockSize : (i+1)*z.BlockSize]
	}
	z.hash.Reset()
	z.hash.Write(now)
	n := z.hash.Size()
	if bytes.Equal(z.hash.Sum(nil), z.sums[i*n:(i+1)*n]) {
		return now
	}
	return nil
}
