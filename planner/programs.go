package planner

import (
	"fmt"
	"slices"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
)

// checkPrograms refuses work on p that takes programs which are not installed. Where
// nothing is known of the machine that will do it, nothing is refused.
func (l *layout) checkPrograms(p *part, work string, programs []string) error {
	if l.facts.Tools == nil {
		return nil
	}
	for _, program := range programs {
		if _, there := l.facts.Tools[program]; there {
			continue
		}
		r := &Refusal{
			Definition: p.def.File, Reason: fmt.Sprintf("%s takes %s, which is not installed", work, program),
			Remedy: fmt.Sprintf("install it (in Debian it is in the package %s), and in an initramfs put it there", host.PackageOf(program)),
		}
		if p.old != nil {
			r.Partition = p.old.Number
		}
		return r
	}
	return nil
}

// Programs lists the programs that the definitions can call for, whatever is on the
// disk: what an initramfs with these definitions must hold. Each is named once, key
// modules by their paths.
func Programs(defs []definitions.Definition) []string {
	var programs []string
	for i := range defs {
		d := &defs[i]
		programs = append(programs, host.ProgramsFor(formatOf(d), len(d.Filesystem.CopyFiles) > 0)...)
		if d.Encryption != nil && slices.Contains(d.Encryption.HeaderRoom, definitions.RoomShrink) {
			programs = append(programs, host.ShrinkPrograms()...)
		}
		if d.Encryption != nil {
			programs = append(programs, keyModules(d.Encryption.Keys)...)
			programs = append(programs, secureKeyPrograms(d.Encryption)...)
		}
	}
	slices.Sort(programs)
	return slices.Compact(programs)
}

// keyModules lists the programs of command keys.
func keyModules(keys []definitions.Key) (programs []string) {
	for _, k := range keys {
		if k.Type == definitions.KeyCommand {
			programs = append(programs, k.Program)
		}
	}
	return programs
}
