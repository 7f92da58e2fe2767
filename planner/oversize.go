package planner

import (
	"cmp"
	"fmt"
	"strings"
)

// noteOversize says of every partition that gets more than its size_max why it does:
// what must be in it counts for more than a maximum.
func (l *layout) noteOversize() {
	for _, p := range l.parts {
		if p.def == nil || p.def.Partition.SizeMax == nil || p.foreign() || p.absent() {
			continue
		}
		limit := *p.def.Partition.SizeMax
		grows := p.old == nil || p.extent.Size > p.base().Size
		if grows && p.extent.Size > limit.RoundUp(parsedGrain) {
			size, most := figures(p.extent.Size, limit)
			l.note(p, fmt.Sprintf("gets %s, more than its size_max of %s: %s", size, most, whyOversize(p)))
		}
	}
}

// whyOversize says what takes more than the size_max of p.
func whyOversize(p *part) string {
	switch {
	case p.old != nil:
		return "it is as large already, and the header of its encryption comes on top"
	case strings.HasSuffix(p.def.Partition.Type.Designator(), "-verity-sig"):
		return "the partition of a signature has one size"
	case p.def.Filesystem.CopyBlocks != "":
		return "what is copied into it takes that"
	case formatOf(p.def) == "vfat":
		return "FAT32, which firmware reads, takes that"
	case p.def.Encryption != nil:
		return "its file system and the header of its encryption take that"
	}
	return "no " + cmp.Or(formatOf(p.def), "partition") + " is smaller"
}
