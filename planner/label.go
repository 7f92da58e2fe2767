package planner

import (
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// formatEmpty is the format of a partition that is meant to stay empty, for a
// later version of an A/B set.
const formatEmpty = "empty"

// assignNames gives every part its name. An existing one keeps what it has; one
// without a name gets that of its definition. What is left alone and nameless keeps the
// name that it would have had from the others: the next run goes by it (see owners).
func (l *layout) assignNames() error {
	taken := make(map[string]bool, len(l.parts))
	for _, p := range l.parts {
		name := ""
		switch {
		case p.old != nil && (p.def == nil || p.old.Name != ""):
			name = p.old.Name
		case p.def.Partition.Label != "":
			name = p.def.Partition.Label
		default:
			name = unusedName(defaultName(p.def), taken)
		}
		if p.name = name; p.foreign() {
			p.name = p.old.Name
		}
		if p.def != nil {
			if err := plan.CheckName(p.name); err != nil && p.old == nil {
				return errors.New(p.def.Name + ".toml: " + err.Error())
			}
		}
		taken[name] = true
	}
	return nil
}

// defaultName returns what a partition is called when its definition does not say.
func defaultName(d *definitions.Definition) string {
	switch {
	case d.Filesystem.Format == formatEmpty:
		return "_empty"
	case d.Partition.Type.Name == "":
		return "linux"
	}
	return d.Partition.Type.Name
}

// unusedName returns name, or name-2, name-3, … where it is taken by an earlier
// part.
func unusedName(name string, taken map[string]bool) string {
	candidate := name
	for i := 2; taken[candidate]; i++ {
		candidate = name + "-" + strconv.Itoa(i)
	}
	return candidate
}

// maxLUKSLabel is the room for a label in the LUKS2 header, 48 bytes with its NUL.
const maxLUKSLabel = 47

// luksLabel returns the label of the LUKS2 volume in a partition of that name. The
// prefix keeps it apart from the file system's in /dev/disk/by-label.
func luksLabel(name string) string {
	label := "luks-" + name
	if len(label) <= maxLUKSLabel {
		return label
	}
	cut := maxLUKSLabel
	for !utf8.RuneStart(label[cut]) {
		cut--
	}
	return label[:cut]
}
