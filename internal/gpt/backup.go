package gpt

import (
	"encoding/binary"
	"errors"

	"github.com/sealpart/sealpart/disk"
)

// findBackup looks for a whole backup copy: in the last sector, where it belongs,
// and then where it was before the disk grew. The error is that of the last sector.
//
// A disk that lost its primary copy no longer says for sure how large it was. What
// is left of the primary header and the protective MBR are asked; only if neither
// knows, whole sizes are tried.
func (s source) findBackup(primary *tableCopy, mbr []byte) (*tableCopy, error) {
	c, lastErr := s.copyAt(s.lastLBA())
	if lastErr == nil {
		return c, nil
	}
	if primary != nil {
		if c, err := s.backupAt(primary.alternate); err == nil {
			return c, lastErr
		}
		return nil, lastErr
	}
	told := protectedSize(mbr)
	for _, at := range []disk.LBA{s.alternateOfDamaged(), told - 1} {
		if c, err := s.backupAt(at); err == nil {
			return c, lastErr
		}
	}
	// A damaged header at the end, or an MBR that covers all of the disk, means that
	// the table has moved there: any other backup would be an outdated one.
	if told != 0 || !errors.Is(lastErr, errNoSignature) {
		return nil, lastErr
	}
	return s.scan(), lastErr
}

// backupAt reads the copy in sector at, which came from the disk.
func (s source) backupAt(at disk.LBA) (*tableCopy, error) {
	if at <= usualArrayLBA || at >= s.lastLBA() {
		return nil, errNoSignature
	}
	return s.copyAt(at)
}

// alternateOfDamaged returns where a primary header that cannot be used says that
// its backup is, 0 if it says nothing.
func (s source) alternateOfDamaged() disk.LBA {
	sector, err := s.read(primaryLBA, 1)
	if err != nil || string(sector[:8]) != signature {
		return 0
	}
	at := binary.LittleEndian.Uint64(sector[32:])
	if at > maxLBA {
		return 0
	}
	return disk.LBA(at)
}

// staleBackup returns where a backup header lies that is not at the end of the disk,
// 0 if none is known.
func (s source) staleBackup(primary, backup *tableCopy) disk.LBA {
	if backup != nil && backup.my != s.lastLBA() {
		return backup.my
	}
	at := s.alternateOfDamaged()
	if primary != nil {
		at = primary.alternate
	}
	if _, err := s.backupAt(at); err != nil {
		return 0
	}
	return at
}

// scanSteps bounds how many sizes scan tries in each unit.
const scanSteps = 1024

// scan tries the sizes that disks and images are made in: whole GiB (virtual
// disks), then whole MiB (images), up to 1024 of each, largest first.
func (s source) scan() *tableCopy {
	size := s.sectors.Offset(s.sectorSize)
	for _, unit := range []disk.Bytes{disk.GiB, disk.MiB} {
		for n := min((size-1)/unit, scanSteps); n > 0; n-- {
			if c, err := s.backupAt((n * unit).LBA(s.sectorSize) - 1); err == nil {
				return c
			}
		}
	}
	return nil
}

// findPrimaryArray decides where the primary array of a disk that lost its primary
// copy is to be written. Boards whose firmware wants its boot loader in sector 2
// have their array elsewhere, and a backup does not tell where. A header that is
// whole does. One that is torn is a hint, and without one it is sector 2; but both
// are taken only if what lies there could be an array.
func (s *State) findPrimaryArray(src source) {
	n := arraySectors(s.base.count, s.SectorSize)
	s.primaryArray = usualArrayLBA
	if sector, err := src.read(primaryLBA, 1); err == nil && string(sector[:8]) == signature {
		s.damaged = sector
		at := binary.LittleEndian.Uint64(sector[72:])
		if at > primaryLBA && at <= maxLBA && disk.LBA(at)+n <= s.base.first {
			s.primaryArray = disk.LBA(at)
			if checkHeaderCRC(sector) == nil {
				return
			}
		}
	}
	array, err := src.read(s.primaryArray, n)
	s.foreign = err == nil && !couldBeArray(array, src.sectors)
}

// couldBeArray reports whether b may be an array of entries, whole, torn or empty.
func couldBeArray(b []byte, sectors disk.LBA) bool {
	for ; len(b) >= entrySize; b = b[entrySize:] {
		if [16]byte(b) == [16]byte{} {
			continue
		}
		first, last := binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:])
		if first > last || last >= uint64(sectors) {
			return false
		}
	}
	return true
}
