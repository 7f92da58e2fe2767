package planner

import (
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// TestImpossibleDefinitions: what the reader of definitions refuses is refused of those
// from elsewhere too.
func TestImpossibleDefinitions(t *testing.T) {
	size := func(n disk.Bytes) *disk.Bytes { return &n }
	for text, spoil := range map[string]func(*definitions.Definition){
		"10-home.toml: size_min 8192 and size_max 4096 contradict each other":              sizes(8192, 4096),
		"10-home.toml: padding_min 8192 and padding_max 4096 contradict each other":        padding(8192, 4096),
		"10-home.toml: size_min -1 and size_max 9223372036854775807 contradict each other": func(d *definitions.Definition) { d.Partition.SizeMin = size(-1) },
		"10-home.toml: size_min 0 and size_max -1 contradict each other":                   func(d *definitions.Definition) { d.Partition.SizeMax = size(-1) },
		"10-home.toml: size_min -2 and size_max -1 contradict each other":                  func(d *definitions.Definition) { d.Partition.SizeMin, d.Partition.SizeMax = size(-2), size(-1) },
		"10-home.toml: no partition type":                                                  func(d *definitions.Definition) { d.Partition.Type.UUID = uuid.Nil },
		"10-home.toml: weights go up to 1000000":                                           func(d *definitions.Definition) { d.Partition.Weight = maxWeight + 1 },
		"10-home.toml: a partition of a verity set cannot be encrypted":                    func(d *definitions.Definition) { encrypted(d); verityRole(definitions.VerityData)(d) },
	} {
		defs := named(want("home", spoil))
		if _, err := Make(defs, blank(disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || err.Error() != text {
			t.Errorf("%v, not %q", err, text)
		}
	}
	defs := named(want("home", func(d *definitions.Definition) { d.Partition.PaddingWeight = maxWeight + 1 }))
	if _, err := Make(defs, blank(disk.GiB), host.Facts{}, options(EmptyAllow)); err == nil || err.Error() != "10-home.toml: weights go up to 1000000" {
		t.Errorf("%v", err)
	}
}

// TestImpossibleOptions: a grain or a size that cannot be is no plan.
func TestImpossibleOptions(t *testing.T) {
	for text, spoil := range map[string]func(*Options){
		"grain size 1536: must be a power of two from 512 on":         func(o *Options) { o.GrainSize = 1536 },
		"grain size 256: must be a power of two from 512 on":          func(o *Options) { o.GrainSize = 256 },
		"a disk of 1 GiB with a grain of 2 GiB is out of range":       func(o *Options) { o.GrainSize = 2 * disk.GiB },
		"a disk of 4194304 TiB with a grain of 4 KiB is out of range": func(o *Options) { o.Size = plan.MaxDisk + 1 },
		"a disk of 1 GiB with a grain of 4 KiB is out of range":       func(o *Options) { o.Size = -1 },
	} {
		o := options(EmptyAllow)
		spoil(&o)
		if _, err := Make(named(want("home")), blank(disk.GiB), host.Facts{}, o); err == nil || err.Error() != text {
			t.Errorf("%v, not %q", err, text)
		}
	}
}
