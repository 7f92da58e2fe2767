package luks2

import (
	"crypto/sha512"
	"fmt"
	"io"
	"slices"
)

// Read returns the newest valid header of a volume of size bytes, or of a detached
// header in a file of that size. It never writes: where one copy is bad or older,
// Recovered says so.
//
// The error wraps ErrNotLUKS2 where there is no magic anywhere, ErrDamaged where no
// copy is valid (with the reason for each copy), and else is that of r.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	primary := readCopy(r, size, 0, 0)
	secondary := candidate{problem: noMagic}
	for _, at := range headerSizes {
		if primary.header != nil && at != primary.header.HeaderSize {
			continue
		}
		if c := readCopy(r, size, 1, at); c.problem != noMagic {
			if secondary = c; c.header != nil {
				break
			}
		}
	}
	return choose(primary, secondary)
}

// candidate is what was found in the place of a copy.
type candidate struct {
	header  *Header // valid, or nil
	which   int     // 0 primary, 1 secondary
	offset  int64
	problem string // why it is not valid
	err     error  // why it could not be read
}

// noMagic is the problem of a place that no copy lies at.
const noMagic = "no magic"

func (c candidate) String() string {
	if c.err != nil {
		return fmt.Sprintf("%s at byte %d: %v", copyNames[c.which], c.offset, c.err)
	}
	return fmt.Sprintf("%s at byte %d: %s", copyNames[c.which], c.offset, c.problem)
}

// choose takes the better of two copies.
func choose(primary, secondary candidate) (*Header, error) {
	first, second := primary.header, secondary.header
	if first != nil && second != nil {
		first.seen = append(first.seen, second.seen...)
		second.seen = first.seen
	}
	switch {
	case first == nil && second == nil:
		return nil, refuse(primary, secondary)
	case second == nil:
		secondary.offset, secondary.which = first.HeaderSize, 1
		return first.recoveredFrom(secondary), nil
	case first == nil:
		return second.recoveredFrom(primary), nil
	case first.SequenceID < second.SequenceID:
		primary.problem = fmt.Sprintf("sequence id %d is older than %d", first.SequenceID, second.SequenceID)
		return second.recoveredFrom(primary), nil
	case first.SequenceID > second.SequenceID:
		secondary.problem = fmt.Sprintf("sequence id %d is older than %d", second.SequenceID, first.SequenceID)
		return first.recoveredFrom(secondary), nil
	}
	first.salts[1] = second.salts[1]
	return first, nil
}

// recoveredFrom notes that the other copy was bad, and gives that one a new salt.
func (h *Header) recoveredFrom(bad candidate) *Header {
	h.weak = bad.which
	h.recovered = bad.String()
	h.salts[bad.which] = sha512.Sum512(h.salts[1-bad.which][:])
	return h
}

// refuse returns the error for two bad copies.
func refuse(primary, secondary candidate) error {
	for _, c := range []candidate{primary, secondary} {
		if c.err != nil {
			return fmt.Errorf("read the LUKS2 header, %s at byte %d: %w", copyNames[c.which], c.offset, c.err)
		}
	}
	switch {
	case primary.problem == noMagic && secondary.problem == noMagic:
		return ErrNotLUKS2
	case primary.problem == secondary.problem:
		return fmt.Errorf("%w: both copies: %s", ErrDamaged, primary.problem)
	case secondary.problem == noMagic:
		return fmt.Errorf("%w: %s; no secondary anywhere", ErrDamaged, primary)
	}
	return fmt.Errorf("%w: %s; %s", ErrDamaged, primary, secondary)
}

// readCopy reads and validates the copy at offset. What it reads is at most the
// largest header size, whatever the copy claims.
func readCopy(r io.ReaderAt, size int64, which int, offset int64) candidate {
	c := candidate{which: which, offset: offset}
	image, problem, err := readImage(r, size, which, offset)
	if c.problem, c.err = problem, err; problem != "" || err != nil {
		return c
	}
	h, bad := parseCopy(image, which, offset, size)
	if bad != nil {
		c.problem = bad.Error()
		return c
	}
	c.header = h
	return c
}

// readImage reads the bytes of a copy, whose length its binary header tells.
func readImage(r io.ReaderAt, size int64, which int, offset int64) (image []byte, problem string, err error) {
	if size-offset < binarySize {
		return nil, noMagic, nil
	}
	block := make([]byte, binarySize)
	if err := readFull(r, block, offset); err != nil {
		return nil, "", err
	}
	if string(block[:len(magics[which])]) != magics[which] {
		return nil, noMagic, nil
	}
	h, bad := parseBinary(block, offset)
	if bad != nil {
		return nil, bad.Error(), nil
	}
	if size-offset < h.HeaderSize {
		return nil, fmt.Sprintf("the device ends after %d bytes, inside the header", size), nil
	}
	image = make([]byte, h.HeaderSize)
	if err := readFull(r, image, offset); err != nil {
		return nil, "", err
	}
	return image, "", nil
}

// parseCopy validates the bytes of a copy. Its binary header is parsed again, since
// this is a second reading of it.
func parseCopy(image []byte, which int, offset, size int64) (*Header, error) {
	if !checkSum(image) {
		return nil, fmt.Errorf("the checksum does not match")
	}
	h, err := parseBinary(image, offset)
	if err != nil {
		return nil, err
	}
	if h.HeaderSize != int64(len(image)) {
		return nil, fmt.Errorf("the header changes while it is read")
	}
	copy(h.salts[which][:], image[saltOffset:])
	h.seen = []copySum{checksumOf(image)}
	return h, h.parseJSON(image[binarySize:], size)
}

// parseJSON validates the JSON area.
func (h *Header) parseJSON(area []byte, size int64) error {
	text, err := splitArea(area)
	if err != nil {
		return err
	}
	if h.tree, err = parseTree(text); err != nil {
		return err
	}
	if h.meta, err = parseMetadata(h.tree); err != nil {
		return err
	}
	if err := h.meta.check(h.HeaderSize); err != nil {
		return err
	}
	if end := h.keyslotsArea().end(); end > size {
		return fmt.Errorf("the keyslots area ends at byte %d, behind the device's end at %d", end, size)
	}
	h.hotOnDisk = slices.ContainsFunc(h.meta.segments, Segment.hot)
	return h.meta.checkCovered()
}

// readFull fills p. An io.ReaderAt may report the end of the device with the last
// bytes.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
