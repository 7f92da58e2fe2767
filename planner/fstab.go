package planner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// Fstab returns the fstab(5) lines, in disk order, of the partitions of a plan whose
// definitions say where they are mounted, "" where none does, without those that are not
// made. there is an fstab that is there, "" where none is: its line stays for what a volume holds, which
// nobody knows without its key. It fails where a file system cannot be named, and where two
// would be mounted at one place.
func Fstab(p *plan.Plan, defs []definitions.Definition, unmade []int, there string) (string, error) {
	byName := map[string]*definitions.Definition{}
	for i := range defs {
		byName[defs[i].Name] = &defs[i]
	}
	var lines strings.Builder
	owner := map[string]string{}
	for _, r := range p.Rows {
		def := byName[r.Definition]
		if def == nil || r.Activity == plan.ActivityDelete || r.Activity == plan.ActivityCreate && slices.Contains(unmade, r.Number) {
			continue
		}
		for _, m := range def.Partition.MountPoints {
			if other, taken := owner[m.Path]; taken {
				return "", fmt.Errorf("%s.toml and %s.toml are both mounted at %s", other, def.Name, m.Path)
			}
			owner[m.Path] = def.Name
			line, err := fstabLine(p, r, m)
			if errors.Is(err, errSealed) {
				if old := lineFor(there, m.Path); old != "" {
					line, err = old, nil
				}
			}
			if err != nil {
				return "", fmt.Errorf("%s.toml: mount_point %s: %w", def.Name, m.Path, err)
			}
			lines.WriteString(line)
		}
	}
	return lines.String(), nil
}

// errSealed says that what is to be mounted is not known.
var errSealed = errors.New("holds a LUKS2 volume, and what is in it is not known without its key")

// lineFor returns the line of an fstab for a mount point, "" where there is none.
func lineFor(fstab, mountPoint string) string {
	for line := range strings.Lines(fstab) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == fstabField(mountPoint) && fields[0][0] != '#' {
			return line
		}
	}
	return ""
}

// fstabLine writes the line of one mount point: what, where, type, options, no dump,
// and the root file system checked before the others.
func fstabLine(p *plan.Plan, r plan.Row, m definitions.MountPoint) (string, error) {
	what, format, err := mountSource(p, r)
	if err != nil {
		return "", err
	}
	options, pass := m.Options, 2
	if options == "" {
		options = "defaults"
	}
	if m.Path == "/" {
		pass = 1
	}
	return fmt.Sprintf("%s %s %s %s 0 %d\n", what, fstabField(m.Path), format, fstabField(options), pass), nil
}

// mountSource names the file system that the partition will hold, and its type: by its
// own UUID, inside or outside of LUKS2, or by the partition's where it is not known.
func mountSource(p *plan.Plan, r plan.Row) (what, format string, err error) {
	for _, a := range p.Actions {
		if c, ok := a.(plan.Create); ok && c.Number == r.Number && c.Filesystem != nil {
			return "UUID=" + filesystemID(*c.Filesystem), c.Filesystem.Format, nil
		}
	}
	plain := r.Content.LUKS == nil && r.Content.Kind != ""
	switch {
	case r.Old != nil && plain && r.Content.UUID != "":
		return "UUID=" + r.Content.UUID, r.Content.Kind, nil
	case r.Content.LUKS != nil:
		return "", "", fmt.Errorf("partition %d %w", r.Number, errSealed)
	case r.UUIDDerived || r.UUID == uuid.Nil:
		return "", "", fmt.Errorf("partition %d has neither a file system of a known UUID nor a UUID of its own", r.Number)
	}
	return "PARTUUID=" + r.UUID.String(), "auto", nil
}

// filesystemID writes the UUID of a new file system as blkid shows it. That of a vfat
// is 32 bits long.
func filesystemID(f plan.Filesystem) string {
	if f.Format == "vfat" {
		return fmt.Sprintf("%X-%X", f.UUID[:2], f.UUID[2:4])
	}
	return f.UUID.String()
}

// fstabField escapes what ends a field of fstab(5).
func fstabField(text string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(text)
}
