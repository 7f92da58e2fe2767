package definitions

import (
	"strings"
	"unicode/utf16"

	"github.com/sealpart/sealpart/disk"
)

// The default share of free space, as in systemd-repart.
const defaultWeight = 1000

// partition builds the [partition] table.
func (b *builder) partition() Partition {
	p := Partition{
		Type:           b.partitionType(),
		Label:          b.label("partition.label"),
		UUID:           b.uuid("partition.uuid"),
		SizeMin:        b.size("partition.size_min", disk.Bytes.RoundDown),
		SizeMax:        b.size("partition.size_max", disk.Bytes.RoundUp),
		PaddingMin:     b.size("partition.padding_min", disk.Bytes.RoundDown),
		PaddingMax:     b.size("partition.padding_max", disk.Bytes.RoundUp),
		Weight:         uint32(b.number("partition.weight", 0, maxWeight, defaultWeight)),
		PaddingWeight:  uint32(b.number("partition.padding_weight", 0, maxWeight, 0)),
		Priority:       int32(b.number("partition.priority", minPriority, maxPriority, 0)),
		NoAuto:         pointer[bool](b.set, "partition.no_auto"),
		ReadOnly:       pointer[bool](b.set, "partition.read_only"),
		GrowFileSystem: pointer[bool](b.set, "partition.grow_file_system"),
		SplitName:      b.splitName(),
		MountPoints:    b.mountPoints(),
		SupplementFor:  b.supplementFor(),
		Match:          b.match(),
	}
	p.Flags, _, _ = value[uint64](b.set, "partition.flags")
	p.FactoryReset, _, _ = value[bool](b.set, "partition.factory_reset")
	if p.SizeMax != nil && *p.SizeMax == 0 {
		b.fail(b.set["partition.size_max"], "must be above 0")
	}
	return p
}

// partitionType returns the type, which every definition must have.
func (b *builder) partitionType() disk.Type {
	name, s, ok := value[string](b.set, "partition.type")
	if !ok {
		b.missing(b.place("partition"), "partition.type").hint(`every definition says which partition it is about: type = "root"`)
		return disk.Type{}
	}
	t, ok := disk.TypeByName(name, b.Architecture)
	if !ok {
		e := b.fail(s, "is %q, which is no partition type", name).hint("%s", didYouMean(name, disk.TypeNames()))
		if e.Hint == "" {
			e.hint("it is a name such as \"root\", \"esp\" or \"home\", or a GUID")
		}
	}
	return t
}

// label returns a GPT partition name: at most 36 UTF-16 code units (UEFI 2.10,
// table 5-6).
func (b *builder) label(path string) string {
	const most = 36
	label, s := b.text(path)
	if n := len(utf16.Encode([]rune(label))); n > most {
		b.fail(s, "is %d UTF-16 units long, a GPT has room for %d: %q", n, most, label)
	}
	return label
}

// supplementFor returns the name of the definition that this one may merge into.
func (b *builder) supplementFor() string {
	name, s, _ := value[string](b.set, "partition.supplement_for")
	if base, ok := strings.CutSuffix(name, ".toml"); ok {
		b.fail(s, "must be a name without \".toml\"").hint("write %q", base)
	}
	if name == b.Name {
		b.fail(s, "names this definition itself")
	}
	return name
}

// match builds [partition.match]. An empty text would match anything, which is
// what a key that is not set does.
func (b *builder) match() Match {
	m := Match{Label: b.label("partition.match.label"), UUID: b.uuid("partition.match.uuid")}
	m.Filesystem, _ = b.text("partition.match.filesystem")
	for _, path := range []string{"partition.match.label", "partition.match.filesystem"} {
		if v, s, ok := value[string](b.set, path); ok && v == "" {
			b.fail(s, "must not be empty")
		}
	}
	return m
}
