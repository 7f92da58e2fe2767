package planner

import (
	"encoding/json"
	"testing"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
)

// BenchmarkSavedSnapshot plans for a device of a fleet from what it reported: ten
// partitions, one of them to be converted.
func BenchmarkSavedSnapshot(b *testing.B) {
	var partitions []disk.Partition
	var defs []definitions.Definition
	for i, typ := range []string{"esp", "xbootldr", "root", "usr", "home", "srv", "var", "tmp", "swap", "linux-generic"} {
		p := there(typ, int64(2048+i*131072), 65536)
		p.Content = disk.Content{Kind: "ext4", Size: p.Size, BlockSize: 4096, Free: p.Size / 2}
		partitions = append(partitions, p)
		d := want(typ)
		if typ == "home" {
			encrypted(&d)
			d.Encryption.Existing, d.Encryption.HeaderRoom = definitions.ExistingConvert, []string{definitions.RoomGrow}
		}
		defs = append(defs, d)
	}
	saved, err := json.Marshal(gpt(8*disk.GiB, partitions...))
	if err != nil {
		b.Fatal(err)
	}
	defs = named(defs...)
	b.ReportAllocs()
	for b.Loop() {
		var snap disk.Snapshot
		if err := json.Unmarshal(saved, &snap); err != nil {
			b.Fatal(err)
		}
		p, err := Make(defs, snap, host.Facts{}, options(EmptyRefuse))
		if err != nil || p.Empty() {
			b.Fatal("nothing to do, or:", err)
		}
	}
}
