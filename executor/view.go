package executor

import (
	"fmt"
	"io"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/blockdev"
	"github.com/sealpart/sealpart/internal/secret"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/luks2"
)

// volumeReader reads the decrypted content of a volume whose conversion from plain
// data rests between two zones: each run of logical bytes from where it lies now,
// in clear or encrypted.
type volumeReader struct {
	part     blockdev.Device
	segments []luks2.Segment // in logical order; a dynamic one reaches to size
	cipher   *xts.Cipher
	size     disk.Bytes
}

// cipherOf returns the cipher of a segment under key, for a look at what it holds: the key is
// still needed afterwards, and in memory twice meanwhile.
func cipherOf(s luks2.Segment, key *secret.Buffer) (*xts.Cipher, error) {
	if err := checkCiphers(s.Encryption); err != nil {
		return nil, err
	}
	return xts.New(key.Bytes())
}

// ReadAt reads logical bytes.
func (v *volumeReader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	start := int64(0)
	for _, s := range v.segments {
		size := s.Size
		if size == luks2.Dynamic {
			size = int64(v.size) - start
		}
		at := off + int64(done) - start
		if at >= 0 && at < size && done < len(p) {
			n := min(int64(len(p)-done), size-at)
			if err := v.readSegment(s, p[done:done+int(n)], at); err != nil {
				return done, err
			}
			done += int(n)
		}
		start += size
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// readSegment reads len(p) bytes at off of one segment.
func (v *volumeReader) readSegment(s luks2.Segment, p []byte, off int64) error {
	switch s.Type {
	case "linear":
		return readFull(v.part, p, disk.Bytes(s.Offset+off))
	case "crypt":
		return v.decrypt(s, p, off)
	default:
		return fmt.Errorf("segment %d is of type %q", s.ID, s.Type)
	}
}

// decrypt reads whole sectors around what is asked for.
func (v *volumeReader) decrypt(s luks2.Segment, p []byte, off int64) error {
	sector := int64(s.SectorSize)
	from, to := off/sector*sector, (off+int64(len(p))+sector-1)/sector*sector
	buf := make([]byte, to-from)
	if err := readFull(v.part, buf, disk.Bytes(s.Offset+from)); err != nil {
		return err
	}
	v.cipher.Decrypt(buf, buf, s.SectorSize, s.IVTweak+uint64(from)/512)
	copy(p, buf[off-from:])
	return nil
}
