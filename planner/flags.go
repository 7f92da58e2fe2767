package planner

import (
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// assignFlags gives every part its attributes. Those of existing ones never change,
// but for one that is converted: its file system is a little smaller than the volume
// made for it, and is to grow into that when it is mounted.
func (l *layout) assignFlags() {
	for _, p := range l.parts {
		if p.old != nil {
			p.attrs = p.old.Attributes
			if growsWhenMounted(p) {
				p.attrs |= disk.AttributeGrowFileSystem
			}
			continue
		}
		p.attrs = attributes(p.def)
		if !p.absent() {
			l.noteFlags(p)
		}
	}
}

// growsWhenMounted reports whether a partition gets the attribute to grow its file
// system by its conversion. What is read-only stays as it is.
func growsWhenMounted(p *part) bool {
	if p.foreign() || p.work != workConvert || p.refusal != nil {
		return false
	}
	readOnly := p.old.Attributes&disk.AttributeReadOnly != 0 || p.def.Partition.ReadOnly != nil && *p.def.Partition.ReadOnly
	refused := p.def.Partition.GrowFileSystem != nil && !*p.def.Partition.GrowFileSystem
	return p.place().room == plan.RoomBehind && !readOnly && !refused && p.def.Partition.Type.KnowsGrowFileSystem()
}

// attributes returns the attributes of a new partition: the raw flags, and over
// them what the definition says by name or the type has by default.
func attributes(d *definitions.Definition) uint64 {
	t, flags := d.Partition.Type, d.Partition.Flags
	readOnly := d.Partition.ReadOnly
	if readOnly == nil && (t.IsVerity() || isVerityData(d)) {
		readOnly = new(true)
	}
	grow := d.Partition.GrowFileSystem
	if grow == nil && (readOnly == nil || !*readOnly) {
		grow = new(true)
	}
	noAuto := d.Partition.NoAuto
	if noAuto == nil && d.Filesystem.Format == formatEmpty {
		noAuto = new(true)
	}
	flags = set(flags, disk.AttributeNoAuto, noAuto, t.KnowsNoAuto())
	flags = set(flags, disk.AttributeReadOnly, readOnly, t.KnowsReadOnly())
	return set(flags, disk.AttributeGrowFileSystem, grow, t.KnowsGrowFileSystem())
}

// set gives bit the value, if there is one and the type knows the bit.
func set(flags, bit uint64, value *bool, known bool) uint64 {
	switch {
	case value == nil || !known:
		return flags
	case *value:
		return flags | bit
	}
	return flags &^ bit
}

func isVerityData(d *definitions.Definition) bool {
	return d.Verity != nil && d.Verity.Role == definitions.VerityData
}

// noteFlags says which attributes of a definition mean nothing for its type.
func (l *layout) noteFlags(p *part) {
	d, t := p.def.Partition, p.def.Partition.Type
	keys := []struct {
		name  string
		value *bool
		known bool
	}{
		{"no_auto", d.NoAuto, t.KnowsNoAuto()},
		{"read_only", d.ReadOnly, t.KnowsReadOnly()},
		{"grow_file_system", d.GrowFileSystem, t.KnowsGrowFileSystem()},
	}
	for _, k := range keys {
		if k.value != nil && !k.known {
			l.note(p, k.name+" means nothing for the type "+typeName(t)+" and is ignored")
		}
	}
}

// typeName returns the name of a type, or its GUID where it has none.
func typeName(t disk.Type) string {
	if t.Name == "" {
		return t.UUID.String()
	}
	return t.Name
}

// isBoot reports whether firmware or boot loaders read the partition, which must
// then be FAT.
func isBoot(t disk.Type) bool {
	return slices.Contains([]string{"esp", "xbootldr"}, t.Designator())
}
