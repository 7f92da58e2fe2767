package verity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/google/uuid"
)

// SuperblockSize is the size in bytes of an encoded superblock.
const SuperblockSize = 512

// Limits of the format.
const (
	MinBlockSize = 512
	MaxBlockSize = 512 << 10
	MaxSaltSize  = 256
)

const (
	signature = "verity\x00\x00"
	version   = 1
	hashType  = 1 // salt before the block, digests padded to a power of two
)

// ErrNoSuperblock means that there is no dm-verity signature where the
// superblock should be: the device is not a verity hash device, or the formatting
// of it did not come to its end.
var ErrNoSuperblock = errors.New("no dm-verity superblock")

// Superblock says how the hash tree behind it was made. It is not covered by the
// root hash: a wrong one makes verification fail, never succeed.
type Superblock struct {
	UUID          uuid.UUID
	Algorithm     string // the kernel's name: "sha256", "sha384", "sha512", "sha3-256", "sha3-512"
	DataBlockSize int    // bytes, a power of two from MinBlockSize to MaxBlockSize
	HashBlockSize int    // bytes, likewise
	DataBlocks    int64  // number of data blocks, at least 1
	Salt          []byte // up to MaxSaltSize bytes; may be empty
}

// onDisk is the layout of the superblock; all numbers are little-endian.
type onDisk struct {
	Signature     [8]byte
	Version       uint32
	HashType      uint32
	UUID          [16]byte
	Algorithm     [32]byte
	DataBlockSize uint32
	HashBlockSize uint32
	DataBlocks    uint64
	SaltSize      uint16
	_             [6]byte
	Salt          [MaxSaltSize]byte
	_             [168]byte
}

// ReadSuperblock reads and validates the superblock at the start of a hash
// device. It returns ErrNoSuperblock, wrapped, when there is none.
func ReadSuperblock(r io.ReaderAt) (Superblock, error) {
	b := make([]byte, SuperblockSize)
	if err := readFull(r, b, 0); err != nil {
		return Superblock{}, fmt.Errorf("read verity superblock: %w", err)
	}
	return DecodeSuperblock(b)
}

// DecodeSuperblock reads a superblock from the first SuperblockSize bytes of b.
// It returns ErrNoSuperblock, wrapped, when there is none.
func DecodeSuperblock(b []byte) (Superblock, error) {
	var d onDisk
	if _, err := binary.Decode(b, binary.LittleEndian, &d); err != nil {
		return Superblock{}, fmt.Errorf("verity superblock: %d bytes: must be %d", len(b), SuperblockSize)
	}
	sb, err := d.superblock()
	if err != nil {
		return Superblock{}, fmt.Errorf("verity superblock: %w", err)
	}
	return sb, nil
}

func (d *onDisk) superblock() (Superblock, error) {
	switch {
	case string(d.Signature[:]) != signature:
		return Superblock{}, ErrNoSuperblock
	case d.Version != version:
		return Superblock{}, fmt.Errorf("version %d: only %d is known", d.Version, version)
	case d.HashType != hashType:
		return Superblock{}, fmt.Errorf("hash type %d: only %d is supported", d.HashType, hashType)
	case d.SaltSize > MaxSaltSize:
		return Superblock{}, fmt.Errorf("salt of %d bytes: at most %d", d.SaltSize, MaxSaltSize)
	case d.DataBlockSize > MaxBlockSize || d.HashBlockSize > MaxBlockSize:
		return Superblock{}, fmt.Errorf("block sizes %d and %d: at most %d", d.DataBlockSize, d.HashBlockSize, MaxBlockSize)
	case d.DataBlocks > math.MaxInt64:
		return Superblock{}, fmt.Errorf("%d data blocks are more than any device has", d.DataBlocks)
	}
	name, rest, _ := bytes.Cut(d.Algorithm[:], []byte{0})
	if len(bytes.Trim(rest, "\x00")) != 0 {
		return Superblock{}, fmt.Errorf("hash algorithm %q: bytes after its end", d.Algorithm[:])
	}
	sb := Superblock{
		UUID:          d.UUID,
		Algorithm:     string(name),
		DataBlockSize: int(d.DataBlockSize),
		HashBlockSize: int(d.HashBlockSize),
		DataBlocks:    int64(d.DataBlocks),
		Salt:          bytes.Clone(d.Salt[:d.SaltSize]),
	}
	return sb, sb.validate()
}

// Encode returns the superblock in its SuperblockSize bytes, or an error that
// names the field that is out of its range.
func (sb Superblock) Encode() ([]byte, error) {
	if err := sb.validate(); err != nil {
		return nil, fmt.Errorf("verity superblock: %w", err)
	}
	d := onDisk{
		Version:       version,
		HashType:      hashType,
		UUID:          sb.UUID,
		DataBlockSize: uint32(sb.DataBlockSize),
		HashBlockSize: uint32(sb.HashBlockSize),
		DataBlocks:    uint64(sb.DataBlocks),
		SaltSize:      uint16(len(sb.Salt)),
	}
	copy(d.Signature[:], signature)
	copy(d.Algorithm[:], sb.Algorithm)
	copy(d.Salt[:], sb.Salt)
	return binary.Append(nil, binary.LittleEndian, d)
}

func (sb Superblock) validate() error {
	if _, err := algorithm(sb.Algorithm); err != nil {
		return err
	}
	if err := validBlockSize("data", sb.DataBlockSize); err != nil {
		return err
	}
	if err := validBlockSize("hash", sb.HashBlockSize); err != nil {
		return err
	}
	if sb.DataBlocks < 1 || sb.DataBlocks > math.MaxInt64/int64(sb.DataBlockSize) {
		return fmt.Errorf("%d data blocks of %d bytes: must be at least one and fit a device", sb.DataBlocks, sb.DataBlockSize)
	}
	if len(sb.Salt) > MaxSaltSize {
		return fmt.Errorf("salt of %d bytes: at most %d", len(sb.Salt), MaxSaltSize)
	}
	return nil
}

func validBlockSize(which string, size int) error {
	if size < MinBlockSize || size > MaxBlockSize || size&(size-1) != 0 {
		return fmt.Errorf("%s block size %d: must be a power of two from %d to %d", which, size, MinBlockSize, MaxBlockSize)
	}
	return nil
}

// readFull fills b from the given byte of r; a device that ends before is
// io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == io.EOF || err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
