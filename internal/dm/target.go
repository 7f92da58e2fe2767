package dm

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Target is one line of a table: what a run of 512-byte sectors is mapped to.
type Target struct {
	Start, Length uint64 // sectors of 512 bytes
	Type          string
	Params        string
}

// Linear maps length sectors at start to those of a device ("8:2") from offset on.
func Linear(start, length uint64, device string, offset uint64) Target {
	return Target{start, length, "linear", fmt.Sprintf("%s %d", device, offset)}
}

// Crypt is what dm-crypt needs to know beside the place (dm-crypt.rst).
type Crypt struct {
	Cipher        string // "aes-xts-plain64"
	Key           string // as Key.Reference gives it
	IVOffset      uint64 // what the tweak of the first sector is, in sectors of 512 bytes
	SectorSize    int    // bytes
	AllowDiscards bool
	// SameCPU and the like are flags of the LUKS2 header, in dm-crypt's words.
	Options []string
}

// Target maps length sectors at start to a device's from offset on, decrypted.
func (c Crypt) Target(start, length uint64, device string, offset uint64) Target {
	var options []string
	if c.AllowDiscards {
		options = append(options, "allow_discards")
	}
	options = append(options, c.Options...)
	if c.SectorSize != 512 {
		options = append(options, fmt.Sprintf("sector_size:%d", c.SectorSize))
	}
	params := fmt.Sprintf("%s %s %d %s %d", c.Cipher, c.Key, c.IVOffset, device, offset)
	if len(options) > 0 {
		params += fmt.Sprintf(" %d %s", len(options), strings.Join(options, " "))
	}
	return Target{start, length, "crypt", params}
}

// Verity is a tree of hashes over a data device (verity.rst). Blocks are in bytes.
type Verity struct {
	HashType      int
	Data, Hash    string // devices, "8:2"
	DataBlockSize int
	HashBlockSize int
	DataBlocks    int64
	HashStart     int64 // first block of the tree
	Algorithm     string
	Root, Salt    []byte
}

// Target maps the whole data device, each block checked when it is read.
func (v Verity) Target() Target {
	salt := "-"
	if len(v.Salt) > 0 {
		salt = hex.EncodeToString(v.Salt)
	}
	return Target{0, uint64(v.DataBlocks) * uint64(v.DataBlockSize/512), "verity", fmt.Sprintf("%d %s %s %d %d %d %d %s %s %s",
		v.HashType, v.Data, v.Hash, v.DataBlockSize, v.HashBlockSize, v.DataBlocks, v.HashStart, v.Algorithm, hex.EncodeToString(v.Root), salt)}
}
