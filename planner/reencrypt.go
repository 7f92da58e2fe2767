package planner

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/disk"
)

// Reencrypt turns a partition that holds data into a LUKS2 volume in place, in
// cryptsetup's data-shift form: the file system moves up by Shift to make room
// for the header (see luks2, reencrypt.go).
//
// On the partition (size D, counted in whole 4096-byte blocks): the header takes
// [0, Shift), the data ends up at [Shift, Shift+DataSize), and [D-Shift, D) keeps
// the plain copy of the file system's first Shift bytes until all is done.
// DataSize is at most D - 2·Shift.
type Reencrypt struct {
	Number int         `json:"number"`
	Mode   Mode        `json:"mode"`
	Room   Room        `json:"room,omitempty"` // of ModeEncrypt
	Extent disk.Extent `json:"extent"`         // on the disk, as published
	// DataSize is how much is converted: logical bytes from the start.
	DataSize disk.Bytes `json:"data_size"`
	// Shift is where the encrypted data starts on the partition, and for
	// RoomBehind how far it moves.
	Shift disk.Bytes `json:"shift"`
	// ShrinkTo is the size the file system is shrunk to first, 0 for not at all.
	ShrinkTo   disk.Bytes `json:"shrink_to,omitempty"`
	Filesystem string     `json:"filesystem,omitempty"` // kind of the file system in it
	// HeaderPath is the file that takes the header, for RoomDetached.
	HeaderPath string `json:"header_path,omitempty"`
	// ExistingKey is the key source that opens the volume for ModeRekey.
	ExistingKey string `json:"existing_key,omitempty"`
	// Resume is set where a conversion was begun before; Encryption then holds
	// what the definition says, and the header on disk rules.
	Resume     bool       `json:"resume,omitempty"`
	Encryption Encryption `json:"encryption"`
	Why        string     `json:"reason"`
}

// Mode is what a conversion does (LUKS2's words).
type Mode string

// The modes of a conversion.
const (
	ModeEncrypt Mode = "encrypt"   // plain to LUKS2
	ModeRekey   Mode = "reencrypt" // LUKS2 to another volume key
)

// Room is where the header of an encryption in place goes.
type Room string

// The rooms for a header.
const (
	RoomBehind   Room = "behind"   // the data moves up by Shift into space behind the file system
	RoomGap      Room = "gap"      // free space before the partition; nothing moves
	RoomDetached Room = "detached" // a file elsewhere; nothing moves
)

// Kind returns "reencrypt".
func (Reencrypt) Kind() string { return "reencrypt" }

// Partition returns the number of the converted partition.
func (r Reencrypt) Partition() int { return r.Number }

// Reason says why the partition is converted.
func (r Reencrypt) Reason() string { return r.Why }

// Shift is how far the data moves up to make room for a LUKS2 header, which is
// also cryptsetup's default size for header and keyslots. A conversion needs twice
// as much behind the file system: once for good, once for the moved first bytes.
const Shift = 16 * disk.MiB

// conversionBlock is the unit that the data of a conversion is counted in.
const conversionBlock = 4096

// convertible lists the kinds of content that are converted: file systems whose
// size their superblock tells.
var convertible = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "squashfs", "erofs", "swap"}

// wantsConversion tells whether a definition's existing partition is to be
// converted from what it holds now.
func wantsConversion(d definitions.Definition, c disk.Content) bool {
	return d.Encryption != nil && d.Encryption.Existing == definitions.ExistingConvert && c.Kind != "crypto_LUKS"
}

// inConversion tells whether a conversion of the content was begun and not
// finished. Such a partition must keep its size: its moved copy is found from its
// end.
func inConversion(c disk.Content) bool {
	return c.LUKS != nil && (c.LUKS.Reencryption != nil || slices.ContainsFunc(c.LUKS.Tokens, isWipeToken))
}

// isWipeToken recognises the note that a plain copy is still to be wiped.
func isWipeToken(t disk.Token) bool { return t.Type == "sealpart" }

// neededForHeader returns the smallest size of a partition that is converted
// without shrinking its file system.
func neededForHeader(c disk.Content) disk.Bytes {
	return dataSize(c) + 2*Shift
}

// dataSize returns how much of a partition is converted: its file system, but at
// least as much as moves out of the header's way.
func dataSize(c disk.Content) disk.Bytes {
	return max(c.Size.RoundUp(conversionBlock), Shift)
}

// shrinkTarget tells whether a file system must shrink so that a partition of the
// given size has room for the header, and to what size: 0 where the header alone
// takes all there is.
func shrinkTarget(c disk.Content, size disk.Bytes) (to disk.Bytes, shrinks bool) {
	room := size.RoundDown(conversionBlock) - 2*Shift
	if dataSize(c) <= room {
		return 0, false
	}
	return max(0, room).RoundDown(max(c.BlockSize, conversionBlock)), true
}

// canShrink tells whether the file system has what it takes: a kind that shrinks,
// and free space for the missing part and as much again for its own metadata.
func canShrink(c disk.Content, to disk.Bytes) bool {
	return slices.Contains([]string{"ext2", "ext3", "ext4"}, c.Kind) && to >= Shift && c.Free > (c.Size-to)+(c.Size-to)/8
}

// planReencrypt decides whether row's partition is converted. It returns nil where
// there is nothing to do, with a note where the reader should know why.
func planReencrypt(d definitions.Definition, p disk.Partition, row Row, sectorSize disk.Bytes) (*Reencrypt, string, error) {
	if d.Encryption == nil || d.Encryption.Existing != definitions.ExistingConvert {
		return nil, "", nil
	}
	action := &Reencrypt{Number: p.Number, Mode: ModeEncrypt, Room: RoomBehind, Extent: row.Extent, Shift: Shift, Filesystem: p.Content.Kind}
	action.Encryption = encryptionFor(d, row, sectorSize)
	if p.Content.Kind == "crypto_LUKS" {
		return planResume(d, p, action)
	}
	if err := errors.Join(checkConvertible(d, p), checkSectorSize(d, p, row)); err != nil {
		return nil, "", err
	}
	action.DataSize = dataSize(p.Content)
	if to, shrinks := shrinkTarget(p.Content, row.Size); shrinks {
		if !slices.Contains(d.Encryption.HeaderRoom, definitions.RoomShrink) || !canShrink(p.Content, to) {
			return nil, "", noRoom(d, p, row)
		}
		action.ShrinkTo, action.DataSize = to, to
	}
	action.Encryption.SectorSize = conversionSectorSize(d, p, row)
	action.Why = fmt.Sprintf("%s.toml wants it encrypted and it holds a plain %s", d.Name, p.Content.Kind)
	return action, "", nil
}

// planResume goes on with a volume in conversion; a finished one is left alone.
func planResume(d definitions.Definition, p disk.Partition, action *Reencrypt) (*Reencrypt, string, error) {
	l := p.Content.LUKS
	switch {
	case l == nil:
		return nil, "", refuse(d, p, "it holds a LUKS volume that cannot be read: "+p.Content.Problem,
			"look at it with \"cryptsetup luksDump\"; restore the header from a backup")
	case !inConversion(p.Content):
		return nil, missingKeys(d, *l), nil
	case l.Reencryption != nil && (l.Reencryption.Mode != "encrypt" || l.Reencryption.Resilience != "datashift"):
		return nil, "", refuse(d, p, fmt.Sprintf("its conversion (%s, %s) was begun by another tool in a form that is not built yet", l.Reencryption.Mode, l.Reencryption.Resilience),
			"finish it with \"cryptsetup reencrypt --resume-only\"")
	}
	action.Resume, action.Shift, action.Extent = true, l.DataOffset, p.Extent
	if l.Reencryption != nil {
		action.DataSize = l.Reencryption.Total
	}
	action.Encryption.SectorSize, action.Filesystem = l.SectorSize, ""
	action.Why = "a conversion was begun there and not finished"
	return action, "", nil
}

// checkConvertible refuses content that cannot be converted safely.
func checkConvertible(d definitions.Definition, p disk.Partition) error {
	c := p.Content
	switch {
	case c.Kind == "":
		return refuse(d, p, "nothing that is known was found in it, so how much of it is data cannot be told",
			"set existing = \"keep\", or make a file system in it")
	case c.Problem != "":
		// A damaged superblock may count fewer blocks than there are, and what lies
		// behind the last it counts would be overwritten.
		return refuse(d, p, fmt.Sprintf("its %s is damaged: %s", c.Kind, c.Problem), "repair it first, e.g. with \"fsck\"")
	case len(c.Ambiguous) > 0:
		return refuse(d, p, fmt.Sprintf("it holds signatures of more than one kind: %s and %v", c.Kind, c.Ambiguous),
			"remove the wrong one with \"wipefs\"")
	case !slices.Contains(convertible, c.Kind):
		return refuse(d, p, fmt.Sprintf("it holds %s, which cannot be converted in place", c.Kind), "set existing = \"keep\"")
	case c.Size == 0:
		return refuse(d, p, fmt.Sprintf("its %s does not tell its size", c.Kind), "set existing = \"keep\"")
	case c.Size > p.Size:
		return refuse(d, p, fmt.Sprintf("its %s takes %d bytes, more than the partition's %d", c.Kind, c.Size, p.Size),
			"the file system is damaged or the partition was cut; repair it first")
	}
	return nil
}

// noRoom refuses a conversion whose header has no place, with what would help.
func noRoom(d definitions.Definition, p disk.Partition, row Row) error {
	missing := neededForHeader(p.Content) - row.Size
	return refuse(d, p, fmt.Sprintf("there is no room for the LUKS2 header: %s more are needed behind its %s, and header_room = %q gives none",
		missing, p.Content.Kind, d.Encryption.HeaderRoom),
		"leave free space behind the partition (header_room \"grow\") or free space in an ext4 (\"shrink\")")
}

func refuse(d definitions.Definition, p disk.Partition, reason, remedy string) error {
	return &Refusal{Definition: d.File, Partition: p.Number, Reason: reason, Remedy: remedy}
}

// conversionSectorSize returns the encryption sector size: the definition's, or
// 4096 where the file system's blocks and the partition's size allow it. A sector
// larger than a block would make single blocks of the file system unwritable.
func conversionSectorSize(d definitions.Definition, p disk.Partition, row Row) disk.Bytes {
	switch {
	case d.Encryption.SectorSize != 0:
		return d.Encryption.SectorSize
	case p.Content.BlockSize >= conversionBlock && row.Size%conversionBlock == 0:
		return conversionBlock
	default:
		return 512
	}
}

// checkSectorSize refuses a sector size of the definition that would make a volume
// nobody can open or mount: the kernel maps whole sectors only, and mounts no file
// system with blocks smaller than its device's.
func checkSectorSize(d definitions.Definition, p disk.Partition, row Row) error {
	size, block := d.Encryption.SectorSize, p.Content.BlockSize
	switch {
	case size == 0:
		return nil
	case row.Size%size != 0:
		return refuse(d, p, fmt.Sprintf("its %d bytes are not whole encryption sectors of %d bytes", row.Size, size), "leave sector_size out")
	case block > 0 && block < size:
		return refuse(d, p, fmt.Sprintf("the blocks of its %s have %d bytes, and it could not be mounted from encryption sectors of %d", p.Content.Kind, block, size), "leave sector_size out")
	}
	return nil
}

// missingKeys notes the keys of the definition that an encrypted volume lacks.
func missingKeys(d definitions.Definition, l disk.LUKS) string {
	for _, k := range d.Encryption.Keys {
		if k.Type == definitions.KeyTPM2 && !slices.ContainsFunc(l.Tokens, func(t disk.Token) bool { return boundAs(t, k) }) {
			return "is encrypted, but has no key as the definition wants it (tpm2, PCRs " + fmt.Sprint(k.PCRs) + "); adding keys to a volume is not built yet"
		}
	}
	return ""
}

// boundAs tells whether a token binds its keyslot as a key of a definition says.
func boundAs(t disk.Token, k definitions.Key) bool {
	return t.Type == "systemd-tpm2" && slices.Equal(t.PCRs, k.PCRs) && (k.Bank == "" || k.Bank == t.Bank)
}
