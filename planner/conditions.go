package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// setAside leaves out the definitions whose conditions do not hold, and what cannot be
// without them: the rest of a verity set, supplements. Each is noted with the reason.
// What is left out is as if its file were not there.
func (l *layout) setAside(defs []definitions.Definition) ([]definitions.Definition, error) {
	reasons := make(map[string]string, len(defs)) // by name
	for i := range defs {
		reason, err := unmet(&defs[i], l.facts)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			reasons[defs[i].Name] = reason
		}
	}
	if len(reasons) == 0 {
		return defs, nil
	}
	leaveDependents(defs, reasons)
	var active []definitions.Definition
	for _, d := range defs {
		if reason, aside := reasons[d.Name]; aside {
			l.notes = append(l.notes, plan.Note{Definition: d.Name, Text: "set aside, because " + reason})
		} else {
			active = append(active, d)
		}
	}
	return active, l.checkTurns(defs, active)
}

// leaveDependents adds what depends on definitions that are set aside. A verity set is
// of two, and supplements have none of their own, so that each is found in one round.
func leaveDependents(defs []definitions.Definition, reasons map[string]string) {
	for _, d := range slices.Clone(defs) {
		if _, aside := reasons[d.Name]; aside {
			continue
		}
		for _, other := range defs {
			if _, aside := reasons[other.Name]; aside && dependsOn(&d, &other) {
				reasons[d.Name] = other.Name + ".toml, which it needs, is set aside"
				break
			}
		}
	}
}

// dependsOn reports whether a definition makes no sense without another.
func dependsOn(d, other *definitions.Definition) bool {
	return d.Partition.SupplementFor == other.Name ||
		d.Verity != nil && other.Verity != nil && d.Verity.MatchKey == other.Verity.MatchKey
}

// checkTurns refuses to let a definition take another partition than it would if all
// conditions held, because one before it is set aside: partitions of one type are
// given out in turn. One that would have none takes the place of what is set aside:
// that is how alternatives are written.
func (l *layout) checkTurns(all, active []definitions.Definition) error {
	if l.newTable {
		return nil
	}
	usual, now := l.turns(all), l.turns(active)
	for _, d := range active {
		a, b := usual[d.Name], now[d.Name]
		if a != 0 && b != 0 && a != b {
			return &Refusal{
				Definition: d.File, Partition: b,
				Reason: fmt.Sprintf("another definition is set aside, and this one would take its partition instead of partition %d", a),
				Remedy: "tell the definitions of this type apart by [partition] match",
			}
		}
	}
	return nil
}

// turns says which partition each definition takes, by its name.
func (l *layout) turns(defs []definitions.Definition) map[string]int {
	taken := make(map[string]int, len(defs))
	for i, p := range l.owners(defs) {
		if p != nil {
			taken[defs[i].Name] = p.Number
		}
	}
	return taken
}

// unmet says which condition of a definition does not hold, "" where all do. It fails
// where that cannot be told.
func unmet(d *definitions.Definition, f host.Facts) (string, error) {
	c := d.Conditions
	if c == nil {
		return "", nil
	}
	if c.FirstBoot != nil && f.FirstBoot == nil {
		return "", &Refusal{
			Definition: d.File, Reason: "whether this is the first boot cannot be told before the root file system is mounted",
			Remedy: "leave first_boot out, or say systemd.condition_first_boot=1 on the kernel command line",
		}
	}
	for _, reason := range []string{
		unmetBool("secure_boot", c.SecureBoot, f.SecureBoot == host.SecureBootOn, "Secure Boot is "+f.SecureBoot.String()),
		unmetBool("tpm2", c.TPM2, f.TPM2, "there is "+some(f.TPM2)+" TPM 2.0"),
		unmetBool("first_boot", c.FirstBoot, f.FirstBoot != nil && *f.FirstBoot, "the operating system has "+some(f.FirstBoot != nil && !*f.FirstBoot)+" boot behind it"),
		unmetText("kernel_command_line", c.KernelCommandLine, func(word string) bool { return hasWord(f.CommandLine, word) }),
		unmetText("firmware", c.Firmware, func(kind string) bool { return slices.Contains(f.Firmware, kind) }),
		unmetText("architecture", c.Architecture, func(name string) bool { return name == f.Architecture }),
		unmetText("virtualization", c.Virtualization, func(kind string) bool { return virtualized(f, kind) }),
		unmetText("path_exists", c.PathExists, func(path string) bool { return f.Paths[path] }),
	} {
		if reason != "" {
			return reason, nil
		}
	}
	return "", nil
}

// unmetBool says that a fact is not what a condition wants.
func unmetBool(name string, want *bool, is bool, fact string) string {
	if want == nil || *want == is {
		return ""
	}
	return fmt.Sprintf("its condition %s = %v does not hold: %s", name, *want, fact)
}

// unmetText says that a condition does not hold, or that it holds where a "!" in front
// of it says that it must not.
func unmetText(name, want string, holds func(string) bool) string {
	bare, not := strings.CutPrefix(want, "!")
	if want == "" || holds(bare) != not {
		return ""
	}
	return fmt.Sprintf("its condition %s = %q does not hold", name, want)
}

func some(is bool) string {
	if is {
		return "a"
	}
	return "no"
}

// hasWord reports whether a word, or a key with any value, is on the command line.
func hasWord(line host.CommandLine, word string) bool {
	_, hasValue := line.Value(word)
	return hasValue || slices.Contains(line, word)
}

// virtualized reports whether the machine is of a kind, in the words of
// ConditionVirtualization.
func virtualized(f host.Facts, kind string) bool {
	switch kind {
	case "yes":
		return f.VM != "" || f.Container != ""
	case "no":
		return f.VM == "" && f.Container == ""
	case "vm":
		return f.VM != ""
	case "container":
		return f.Container != ""
	}
	return kind == f.VM || kind == f.Container
}
