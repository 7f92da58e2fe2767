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
	r, err := h.continuable()
	if err != nil {
		return err
	}
	if err := r.checkZone(offset, int64(len(old))); err != nil {
		return fmt.Errorf("save the zone of %d bytes at %d: %w", len(old), offset, err)
	}
	if h.hotOnDisk {
		return fmt.Errorf("save the zone at %d: the header on disk still has a hot zone", offset)
	}
	record := old
	switch r.Resilience {
	case "datashift":
		return nil
	case "checksum":
		if record, err = r.sums(old); err != nil {
			return err
		}
	}
	if _, err := d.WriteAt(record, r.AreaOffset); err != nil {
		return fmt.Errorf("save the zone at %d: %w", offset, err)
	}
	return d.Sync()
}

// sums returns the checksums of a zone's blocks, one after the other.
func (r *Reencryption) sums(zone []byte) ([]byte, error) {
	newHash, err := newHash(r.Hash)
	if err != nil {
		return nil, err
	}
	h, out := newHash(), []byte(nil)
	for ; len(zone) > 0; zone = zone[r.ChecksumSectorSize:] {
		h.Reset()
		h.Write(zone[:r.ChecksumSectorSize])
		out = h.Sum(out)
	}
	return out, nil
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
