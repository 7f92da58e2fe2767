package luks2

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Commit writes both copies of the header with the next SequenceID and returns when
// they are durable. It is the one commit point of every change.
//
// Each copy is written as cryptsetup does it: the binary header without a checksum,
// the JSON area, the header with the checksum, a sync. The primary is first, unless
// the secondary is known to be bad or old: then that, since the copy that is written
// second must be able to stand for the volume. A power cut leaves
//
//   - in the first copy: an invalid one, or the new one; the other is the state
//     before. Read takes either;
//   - in the second copy: the new first one. Read takes it;
//
// so at every instant one copy is valid, and once the first is durable the old state
// never comes back. A header that was never on the device has no state before: until
// the first sync a power cut leaves no valid header.
//
// It fails with ErrChanged where the device has a header that this one was not made from;
// see Unchanged. After any other failure Commit may be called again.
func (h *Header) Commit(d Device) error {
	if err := h.committable(d); err != nil {
		return err
	}
	h.SequenceID++ // even if this fails: what was written must not be newer than the next try
	h.fresh = false
	hot := slices.ContainsFunc(h.meta.segments, Segment.hot)
	h.hotOnDisk = h.hotOnDisk || hot
	for _, which := range [2]int{h.weak, 1 - h.weak} {
		h.weak = which // if this fails, the other one is the good one
		if err := h.writeCopy(d, which); err != nil {
			return fmt.Errorf("write the %s LUKS2 header: %w", copyNames[which], err)
		}
	}
	h.recovered, h.weak, h.hotOnDisk = "", 0, hot
	h.seen = h.seen[len(h.seen)-2:]
	for i := range h.removed {
		h.removed[i].committed = true
	}
	return nil
}

// committable decides whether the header may be written to d.
func (h *Header) committable(d Device) error {
	if h.tree == nil {
		return fmt.Errorf("the LUKS2 header was wiped")
	}
	if err := h.SetLabel(h.Label, h.Subsystem); err != nil {
		return err
	}
	if len(h.UUID) >= uuidLength {
		return fmt.Errorf("UUID %.60q is longer than %d bytes", h.UUID, uuidLength-1)
	}
	if err := h.meta.config.writable(); err != nil {
		return err
	}
	if err := h.meta.checkCovered(); err != nil {
		return fmt.Errorf("the header has no key yet: %w", err)
	}
	if h.SequenceID == math.MaxUint64 {
		return fmt.Errorf("the sequence id of the header cannot grow any more")
	}
	return h.Unchanged(d)
}

// copySum is the checksum of a copy, over its salt too: no two that were written have the same.
type copySum [ChecksumEnd - ChecksumOffset]byte

// checksumOf returns the one that a copy says it has.
func checksumOf(image []byte) (sum copySum) {
	copy(sum[:], image[ChecksumOffset:])
	return sum
}

// Unchanged fails with ErrChanged where d has a whole copy of a header that is not of
// those that h was read from or written as: somebody else has committed meanwhile, and
// what h says of keyslots and data is not true any more. What it finds holds for as long
// as nobody can write a header: under cryptsetup's lock of the device.
func (h *Header) Unchanged(d io.ReaderAt) error {
	if h.fresh {
		return nil
	}
	for which := range magics {
		image, problem, err := h.copyOn(d, which)
		if problem != "" || err != nil || slices.Contains(h.seen, checksumOf(image)) {
			continue
		}
		return fmt.Errorf("%w: sequence id %d there, %d here", ErrChanged, binary.BigEndian.Uint64(image[sequenceOffset:]), h.SequenceID)
	}
	return nil
}

// copyOn reads a copy from d. One whose checksum is not right is a problem.
func (h *Header) copyOn(d io.ReaderAt, which int) (image []byte, problem string, err error) {
	image, problem, err = readImage(d, 2*h.HeaderSize, which, int64(which)*h.HeaderSize)
	if problem == "" && err == nil && !checkSum(image) {
		problem = "the checksum does not match"
	}
	return image, problem, err
}

// newestOn returns the highest sequence id of this volume's copies on d whose
// checksum is right, or 0.
func (h *Header) newestOn(d Device) (newest uint64) {
	for which := range magics {
		image, problem, err := h.copyOn(d, which)
		if problem != "" || err != nil {
			continue
		}
		if cstring(image[uuidOffset:], uuidLength) == h.UUID {
			newest = max(newest, binary.BigEndian.Uint64(image[sequenceOffset:]))
		}
	}
	return newest
}

// writeCopy writes one copy. Until its last write the copy on disk is invalid, never
// a mixture that reads as valid.
func (h *Header) writeCopy(d Device, which int) error {
	image, at := h.image(which), int64(which)*h.HeaderSize
	sum := checksumOf(image)
	h.seen = append(h.seen, sum)
	clear(image[ChecksumOffset:ChecksumEnd])
	if _, err := d.WriteAt(image[:binarySize], at); err != nil {
		return err
	}
	if _, err := d.WriteAt(image[binarySize:], at+binarySize); err != nil {
		return err
	}
	copy(image[ChecksumOffset:], sum[:])
	if _, err := d.WriteAt(image[:binarySize], at); err != nil {
		return err
	}
	return d.Sync()
}
