package gpt

import (
	"errors"
	"io"
	"slices"

	"github.com/sealpart/sealpart/disk"
)

// Strays returns where headers of GPTs, whole or not, lie on a disk of size bytes that a table
// for sectors of sectorSize has no header at: of a table for other sectors, and of one of
// a disk that was smaller; and the arrays of those that are whole. The table's own two places
// are not among them.
func Strays(r io.ReaderAt, size, sectorSize disk.Bytes) ([]disk.Extent, error) {
	passed := []disk.Bytes{sectorSize, (size.LBA(sectorSize) - 1).Offset(sectorSize)}
	var strays []disk.Extent
	for _, n := range sectorSizes {
		src := source{r: r, sectorSize: n, sectors: size.LBA(n)}
		if src.sectors < 3 {
			continue
		}
		mbr, err := src.read(0, 1)
		if err != nil {
			return nil, err
		}
		for _, at := range []disk.LBA{primaryLBA, src.lastLBA(), src.alternateOfDamaged(), protectedSize(mbr[:mbrSize]) - 1} {
			place := at.Offset(n)
			if at <= 0 || at > src.lastLBA() || slices.Contains(passed, place) {
				continue
			}
			if sector, err := src.read(at, 1); errors.As(err, new(*readError)) {
				return nil, err
			} else if err == nil && string(sector[:len(signature)]) == signature {
				passed = append(passed, place)
				strays = append(strays, disk.Extent{Offset: place, Size: n})
				if c, err := src.copyAt(at); err == nil {
					strays = append(strays, disk.Extent{Offset: c.array.Offset(n), Size: arraySectors(c.count, n).Offset(n)})
				}
			}
		}
	}
	return strays, nil
}
