package planner

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sealpart/sealpart/disk"
)

// luksSectorMax is the largest encryption sector, and the best for speed.
const luksSectorMax disk.Bytes = 4096

// maxNameUnits is how many UTF-16 units a GPT partition name has (UEFI 2.10,
// table 5-6).
const maxNameUnits = 36

// checkName reports whether name can be written to a GPT entry.
func checkName(name string) error {
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

// mbrSlots is how many primary partitions an MBR has.
const mbrSlots = 4

// UnderSecureKey reports whether data of a cipher is under a secure key, which the kernel
// alone can use.
func UnderSecureKey(cipher string) bool { return strings.HasPrefix(cipher, "paes-") }

// lastUsable returns the last sector in front of the backup GPT of a disk.
func lastUsable(size, sector disk.Bytes, slots int) disk.LBA {
	return size.LBA(sector) - 1 - backupSectors(sector, slots)
}

// usableExtent returns the usable bytes of a table, narrowed to multiples of grain.
func usableExtent(t disk.Table, sector, grain disk.Bytes) disk.Extent {
	start := t.FirstUsable.Offset(sector).RoundUp(grain)
	end := (t.LastUsable + 1).Offset(sector).RoundDown(grain)
	return disk.Extent{Offset: start, Size: end - start}
}

// maxDisk bounds what is taken for a disk, 4 EiB: twice that still fits a Bytes,
// so that offsets inside the disk add up without overflow.
const maxDisk = disk.Bytes(1) << 62

// maxSlots bounds the entry array that is worked with.
const maxSlots = 1 << 14

// minGrain is what new partitions are aligned to at least.
const minGrain disk.Bytes = 4096

func powerOfTwo(b disk.Bytes) bool { return b > 0 && b&(b-1) == 0 }

// inConversion reports whether a conversion of the content was begun and not
// finished, down to the wiping of the plain copy.
func inConversion(c disk.Content) bool {
	return c.LUKS != nil && (c.LUKS.Reencryption != nil || slices.ContainsFunc(c.LUKS.Tokens, isWipeToken))
}

const entrySize disk.Bytes = 128 // UEFI 2.10, section 5.3.2: at least 128

// backupSectors returns how many sectors the backup GPT takes: the entries and
// the header.
func backupSectors(sector disk.Bytes, slots int) disk.LBA {
	return (disk.Bytes(slots) * entrySize).RoundUp(sector).LBA(sector) + 1
}

// isWipeToken recognises the note that a plain copy is still to be wiped.
func isWipeToken(t disk.Token) bool { return t.Type == disk.TokenWipe }
