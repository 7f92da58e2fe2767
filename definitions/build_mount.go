package definitions

import (
	"path"
	"strings"
	"unicode"
)

// splitSpecifiers are the letters that split_name knows beside the common ones: type,
// type UUID, UUID and number of the partition. They are filled in by the planner.
const splitSpecifiers = "tTUn"

// splitName returns the template of the name that a partition's content is split off
// under. Only its splitSpecifiers and "%%" are left to expand.
func (b *builder) splitName() string {
	const key = "partition.split_name"
	text, s, ok := value[string](b.set, key)
	if !ok || text == SplitOff {
		return text
	}
	name := b.expandBy(b.Specifiers.keeping(splitSpecifiers), s, 0, text)
	switch {
	case name == "":
		b.fail(s, "must not be empty").hint("write %q to split nothing off", SplitOff)
	case strings.Contains(name, "/"):
		b.fail(s, "becomes part of a file name, it cannot hold a %q: %q", "/", name)
	}
	return name
}

// mountPoints returns where the partition's file system belongs: "PATH" or
// "PATH:OPTIONS".
func (b *builder) mountPoints() []MountPoint {
	texts, s, _ := value[[]string](b.set, "partition.mount_point")
	var points []MountPoint
	for i, text := range texts {
		where, options, some := strings.Cut(b.expand(s, i, text), ":")
		switch err := checkPath(where); {
		case err != nil:
			b.failItem(s, i, "%v", err)
		case some && options == "":
			b.failItem(s, i, "has no options behind the colon: %q", text)
		case strings.ContainsFunc(options, unicode.IsSpace):
			b.failItem(s, i, "has a space in its options: %q", options)
		}
		points = append(points, MountPoint{Path: path.Clean(where), Options: options})
	}
	return points
}
