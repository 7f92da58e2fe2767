package plan

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sealpart/sealpart/disk"
)

// LUKSSectorMax is the largest encryption sector, and the best for speed.
const LUKSSectorMax disk.Bytes = 4096

// maxNameUnits is how many UTF-16 units a GPT partition name has (UEFI 2.10,
// table 5-6).
const maxNameUnits = 36

// CheckName reports whether name can be written to a GPT entry.
func CheckName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("the partition label is not valid UTF-8")
	case len(utf16.Encode([]rune(name))) > maxNameUnits:
		return errors.New("the partition label " + strconv.Quote(name) + " is longer than 36 UTF-16 units")
	case strings.ContainsRune(name, 0):
		return errors.New("the partition label " + strconv.Quote(name) + " contains a NUL")
	}
	return nil
}

// MBRSlots is how many primary partitions an MBR has.
const MBRSlots = 4

// UnderSecureKey reports whether data of a cipher is under a secure key, which the kernel
// alone can use.
func UnderSecureKey(cipher string) bool { return strings.HasPrefix(cipher, "paes-") }

// LastUsable returns the last sector in front of the backup GPT of a disk.
func LastUsable(size, sector disk.Bytes, slots int) disk.LBA {
	return size.LBA(sector) - 1 - BackupSectors(sector, slots)
}

// UsableExtent returns the usable bytes of a table, narrowed to multiples of grain.
func UsableExtent(t disk.Table, sector, grain disk.Bytes) disk.Extent {
	start := t.FirstUsable.Offset(sector).RoundUp(grain)
	end := (t.LastUsable + 1).Offset(sector).RoundDown(grain)
	return disk.Extent{Offset: start, Size: end - start}
}

// MaxDisk bounds what is taken for a disk, 4 EiB: twice that still fits a Bytes,
// so that offsets inside the disk add up without overflow.
const MaxDisk = disk.Bytes(1) << 62

// MaxSlots bounds the entry array that is worked with.
const MaxSlots = 1 << 14

// MinGrain is what new partitions are aligned to at least.
const MinGrain disk.Bytes = 4096

// PowerOfTwo reports whether b is one.
func PowerOfTwo(b disk.Bytes) bool { return b > 0 && b&(b-1) == 0 }

// InConversion reports whether a conversion of the content was begun and not
// finished, down to the wiping of the plain copy.
func InConversion(c disk.Content) bool {
	return c.LUKS != nil && (c.LUKS.Reencryption != nil || slices.ContainsFunc(c.LUKS.Tokens, isWipeToken))
}

const entrySize disk.Bytes = 128 // UEFI 2.10, section 5.3.2: at least 128

// BackupSectors returns how many sectors the backup GPT takes: the entries and
// the header.
func BackupSectors(sector disk.Bytes, slots int) disk.LBA {
	return (disk.Bytes(slots) * entrySize).RoundUp(sector).LBA(sector) + 1
}

// isWipeToken recognises the note that a plain copy is still to be wiped.
func isWipeToken(t disk.Token) bool { return t.Type == disk.TokenWipe }
