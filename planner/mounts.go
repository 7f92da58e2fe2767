package planner

import (
	"path"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/planner/plan"
)

// runtimeDirectories hold what a running system makes anew at every boot, or throws
// away: a root file system needs them empty.
var runtimeDirectories = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"}

// typeMounts is where partitions of a type are mounted unless mount_point says
// otherwise (Discoverable Partitions Specification). Boot partitions are not among
// them: systems differ in where they mount theirs, and a kernel left behind in /boot
// by mistake does not boot.
var typeMounts = map[string]string{
	"root": "/", "usr": "/usr", "home": "/home", "srv": "/srv", "var": "/var", "tmp": "/var/tmp",
}

// mountPoints returns where the file system of a definition belongs.
func mountPoints(d *definitions.Definition) []string {
	var points []string
	for _, m := range d.Partition.MountPoints {
		points = append(points, m.Path)
	}
	if where, known := typeMounts[d.Partition.Type.Designator()]; known && points == nil {
		points = append(points, where)
	}
	return points
}

// copyFiles returns what is copied into the new partition p, with what is left out of
// it. Only a directory below what is copied is left out: a source or target that the
// definition itself names is copied.
func (l *layout) copyFiles(p *part) []plan.CopyFile {
	var files []plan.CopyFile
	inside := l.mountedInside(p)
	for _, c := range p.def.Filesystem.CopyFiles {
		var leave []string
		for _, target := range inside {
			leave = appendBelow(leave, c.Target, target)
		}
		for _, source := range runtimeDirectories {
			leave = appendBelow(leave, c.Source, source)
		}
		slices.Sort(leave)
		files = append(files, plan.CopyFile{CopyFile: c, LeaveEmpty: slices.Compact(leave)})
	}
	return files
}

// mountedInside returns the directories of the file system of p that something else
// is mounted on, as absolute paths in it.
func (l *layout) mountedInside(p *part) []string {
	own := mountPoints(p.def)
	if own == nil {
		return nil
	}
	var inside []string
	if own[0] == "/" {
		inside = append(inside, runtimeDirectories...)
	}
	for _, other := range l.parts {
		if other == p || other.absent() || other.foreign() {
			continue
		}
		for _, point := range mountPoints(other.def) {
			if below, ok := cutDirectory(point, own[0]); ok {
				inside = append(inside, "/"+below)
			}
		}
	}
	return inside
}

// appendBelow appends path, relative to dir, where it is strictly below that.
func appendBelow(list []string, dir, path string) []string {
	if below, ok := cutDirectory(path, dir); ok {
		return append(list, below)
	}
	return list
}

// cutDirectory returns p relative to dir; false where it is not strictly below dir.
func cutDirectory(p, dir string) (string, bool) {
	dir = strings.TrimSuffix(path.Clean(dir), "/") + "/"
	below, ok := strings.CutPrefix(path.Clean(p), dir)
	return below, ok && below != ""
}
