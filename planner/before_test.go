package planner

import (
	"errors"
	"testing"

	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// TestTableThatCannotBeWrittenIsRefused: a table whose last usable sector lies where its backup
// goes is refused by plan, where there is anything to write.
func TestTableThatCannotBeWrittenIsRefused(t *testing.T) {
	snap := gpt(disk.GiB, there("root", 2048, 204800))
	snap.Table.LastUsable += 3
	keep := want("root")
	keep.Partition.Weight = 0
	small := want("home", sizes(disk.MiB, disk.MiB))
	small.Partition.PaddingWeight = 1
	_, err := Make(named(keep, small), snap, host.Facts{}, options(EmptyRefuse))
	var refused *TableError
	const reason = "/dev/test: the last usable sector 2097121 lies in the place of the backup partition table, which leaves sectors up to 2097118"
	if !errors.As(err, &refused) || refused.Reason != reason[len("/dev/test: "):] || refused.Remedy == "" {
		t.Errorf("%v", err)
	}
	if p, err := Make(named(keep), snap, host.Facts{}, options(EmptyRefuse)); err != nil || !p.Empty() {
		t.Errorf("with nothing to write: %v", err)
	}
}

// TestLeastSizes: what mkswap and mkfs.vfat would refuse as too small is not planned.
func TestLeastSizes(t *testing.T) {
	for format, least := range map[string]disk.Bytes{"swap": 40 * disk.KiB, "vfat": 64 * disk.KiB} {
		d := want("home", sizes(4096, 8192))
		d.Filesystem.Format = format
		p := planned(t, named(d), gpt(disk.GiB), options(EmptyRefuse))
		if got := p.Rows[0].Size; got != least {
			t.Errorf("%s: %d bytes, not %d", format, got, least)
		}
	}
}
