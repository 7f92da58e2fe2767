package planner

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
	"pgregory.net/rapid"
)

// TestAfterApplyNothingIsLeft: whatever is planned, planning again on the disk as
// it is then finds nothing to do. The same arguments give the same plan, and every
// plan keeps the laws.
func TestAfterApplyNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkRest(t, drawWorld)
	})
}

// world is what a plan is made from.
type world func(*rapid.T) ([]definitions.Definition, disk.Snapshot, Options)

// checkRest plans in a drawn world, and again in what that leaves.
func checkRest(t *rapid.T, draw world) *plan.Plan {
	defs, snap, o := draw(t)
	p, err := Make(defs, snap, host.Facts{}, o)
	if err != nil {
		return nil
	}
	if err := plan.Check(p, snap); err != nil {
		t.Fatal(err)
	}
	if again, _ := Make(defs, snap, host.Facts{}, o); !reflect.DeepEqual(again, p) {
		t.Fatalf("not deterministic:\n%v\n%v", sectors(p), sectors(again))
	}
	after, rest := After(p, snap), options(EmptyRefuse)
	if rapid.Bool().Draw(t, "another seed") {
		rest.Seed = uuid.New() // as in an initrd, which has no machine-id
	}
	rest.Headers = HeadersAfter(p, o.Headers)
	next, err := Make(defs, after, host.Facts{}, rest)
	var noSpace *NoSpaceError
	if errors.As(err, &noSpace) {
		t.Fatalf("no space on the second run: %v\n%v", err, sectors(p))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Check(next, after); err != nil {
		t.Fatal(err)
	}
	if !next.Empty() {
		t.Fatalf("the second run is not empty:\n%v\n%v\n%v", sectors(p), sectors(next), next.Actions)
	}
	return p
}

var drawnTypes = []string{"root", "usr", "home", "var", "swap", "esp", "linux-generic"}

func drawWorld(t *rapid.T) ([]definitions.Definition, disk.Snapshot, Options) {
	size := disk.Bytes(rapid.Int64Range(40<<20, 8<<30).Draw(t, "disk")).RoundDown(512)
	snap, o := blank(size), options(EmptyAllow)
	if rapid.Bool().Draw(t, "table") {
		snap = drawTable(t, size)
	}
	o.FactoryReset = rapid.IntRange(0, 3).Draw(t, "reset") == 0
	var defs []definitions.Definition
	for range rapid.IntRange(0, 6).Draw(t, "definitions") {
		defs = append(defs, drawDefinition(t))
	}
	return named(defs...), snap, o
}

func drawTable(t *rapid.T, size disk.Bytes) disk.Snapshot {
	var partitions []disk.Partition
	next, end := int64(2048), int64(plan.LastUsable(size, 512, 128))
	for range rapid.IntRange(0, 5).Draw(t, "partitions") {
		start := next + rapid.Int64Range(0, (end-next)/4).Draw(t, "gap")
		length := 1 + rapid.Int64Range(0, (end-start)/4).Draw(t, "length")
		if start+length > end {
			break
		}
		p := there(rapid.SampledFrom(drawnTypes).Draw(t, "type"), start, length)
		if rapid.IntRange(0, 4).Draw(t, "nameless") == 0 {
			p.Name, p.UUID = "", uuid.Nil
		}
		if p.Size%4096 == 0 && rapid.Bool().Draw(t, "content") {
			p.Content = disk.Content{Kind: "ext4", Size: p.Size.RoundDown(4096), BlockSize: 4096, Free: p.Size / 2}
		}
		partitions, next = append(partitions, p), start+length
	}
	return gpt(size, partitions...)
}

func drawDefinition(t *rapid.T) definitions.Definition {
	d := want(rapid.SampledFrom(drawnTypes).Draw(t, "type"))
	p := &d.Partition
	size := func(name string) disk.Bytes {
		return disk.Bytes(rapid.Int64Range(0, 512<<20).Draw(t, name))
	}
	maybe := func(name string) bool { return rapid.IntRange(0, 2).Draw(t, name) == 0 }
	if maybe("min?") {
		p.SizeMin = new(size("min"))
	}
	if maybe("max?") {
		p.SizeMax = new(orElse(p.SizeMin, 0) + size("max"))
	}
	if maybe("padding?") {
		p.PaddingMin = new(size("padding") / 8)
	}
	if maybe("weight?") {
		p.Weight = rapid.Uint32Range(0, maxWeight).Draw(t, "weight")
		p.PaddingWeight = rapid.Uint32Range(0, 2000).Draw(t, "padding weight")
	}
	if maybe("encrypted?") {
		encrypted(&d)
		if maybe("convert?") {
			d.Encryption.Existing = definitions.ExistingConvert
			d.Encryption.HeaderRoom = []string{definitions.RoomGrow, definitions.RoomShrink}
		}
	}
	p.FactoryReset = maybe("factory reset?")
	if maybe("priority?") {
		p.Priority = rapid.Int32Range(0, 3).Draw(t, "priority")
	}
	return d
}

// TestHostileDefinitions: sizes near the end of what can be counted give an error
// or a plan, never a panic, and never an overflow that passes for a plan.
func TestHostileDefinitions(t *testing.T) {
	huge := []disk.Bytes{-1, 0, 1, 4095, 4096, disk.TiB, plan.MaxDisk, unlimited - 4096, unlimited}
	rapid.Check(t, func(t *rapid.T) {
		value := func(name string) *disk.Bytes { return new(rapid.SampledFrom(huge).Draw(t, name)) }
		var defs []definitions.Definition
		for range rapid.IntRange(1, 4).Draw(t, "definitions") {
			d := drawDefinition(t)
			for name, field := range map[string]**disk.Bytes{"a": &d.Partition.SizeMin, "b": &d.Partition.PaddingMin} {
				if rapid.Bool().Draw(t, name) {
					*field = value(name)
				}
			}
			d.Filesystem.CopyBlocks = rapid.SampledFrom([]string{"", "/huge", "/missing"}).Draw(t, "blocks")
			d.Partition.Priority = rapid.Int32().Draw(t, "priority")
			d.Partition.SupplementFor = rapid.SampledFrom([]string{"", "10-root-x86-64", "nothing"}).Draw(t, "supplement")
			defs = append(defs, d)
		}
		size := rapid.SampledFrom([]disk.Bytes{0, 1, 512, disk.MiB, disk.GiB, plan.MaxDisk, unlimited}).Draw(t, "disk")
		snap := rapid.SampledFrom([]disk.Snapshot{blank(size), gpt(size), gpt(max(size, disk.GiB), there("root", 2048, 8))}).Draw(t, "snapshot")
		o := options(rapid.SampledFrom([]Empty{EmptyAllow, EmptyRefuse, EmptyForce, EmptyCreate}).Draw(t, "empty"))
		o.Size = *value("size")
		o.GrainSize = rapid.SampledFrom([]disk.Bytes{0, 1, 512, disk.MiB, plan.MaxDisk}).Draw(t, "grain")
		o.SourceSizes = map[string]disk.Bytes{"/huge": *value("source")}
		if p, err := Make(named(defs...), snap, host.Facts{}, o); err == nil {
			if err := plan.Check(p, snap); err != nil {
				t.Fatal(err)
			}
		}
		if size, err := MinimalSize(defs, host.Facts{}, o); err == nil && size < 0 {
			t.Fatalf("minimal size %d", size)
		}
	})
}

// TestMinimalSize: the image it asks for is large enough, and one sector less is
// not.
func TestMinimalSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var defs []definitions.Definition
		for range rapid.IntRange(1, 6).Draw(t, "definitions") {
			d := drawDefinition(t)
			d.Partition.Priority = 0 // nothing may be dropped
			defs = append(defs, d)
		}
		defs = named(defs...)
		o := options(EmptyCreate)
		size, err := MinimalSize(defs, host.Facts{}, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Size = size
		if _, err := Make(defs, blank(0), host.Facts{}, o); err != nil {
			t.Fatalf("%s: %v", size, err)
		}
		o.Size = size - 512
		if _, err := Make(defs, blank(0), host.Facts{}, o); !errors.As(err, new(*NoSpaceError)) && (err == nil || !strings.Contains(err.Error(), "too small")) {
			t.Fatalf("%s is not the minimum: %v", size, err)
		}
	})
}
