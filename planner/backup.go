package planner

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/planner/plan"
)

// placeBackups finds the partitions in which copies of headers are to lie.
func (l *layout) placeBackups(made *plan.Plan) error {
	parts := l.byNumber()
	for i, action := range made.Actions {
		p := parts[action.Partition()]
		if p.def == nil || p.def.Encryption == nil || p.def.Encryption.HeaderBackupIn == "" {
			continue
		}
		in, err := l.backupPart(p)
		if err != nil {
			return err
		}
		switch a := action.(type) {
		case plan.Create:
			if a.Encryption != nil {
				a.Encryption.HeaderBackupIn = in
			}
		case plan.Reencrypt:
			a.Encryption.HeaderBackupIn = in
			made.Actions[i] = a
		case plan.Enroll:
			a.HeaderBackupIn = in
			made.Actions[i] = a
		}
	}
	return nil
}

// backupPart returns the partition that p's definition names for the copy of its header.
func (l *layout) backupPart(p *part) (*plan.Mounted, error) {
	text := p.def.Encryption.HeaderBackupIn
	named := l.named(text)
	if len(named) != 1 {
		return nil, l.noBackup(p, fmt.Sprintf("%d partitions have the number, label or type %q", len(named), text))
	}
	in := named[0]
	kind := plainAfter(in)
	switch {
	case in == p:
		return nil, l.noBackup(p, fmt.Sprintf("%q is the partition itself, which does not open without its header", text))
	case kind == "":
		return nil, l.noBackup(p, fmt.Sprintf("partition %d holds no plain file system", in.number))
	case in.old != nil && in.old.Content.Unclean:
		return nil, l.noBackup(p, fmt.Sprintf("the %s of partition %d was not unmounted cleanly; check it first", kind, in.number))
	case l.opts.LeaveUnmounted:
		return nil, &Refusal{
			Definition: p.def.File, Partition: p.number, Remedy: remedyMount,
			Reason: fmt.Sprintf("header_backup: the %s of partition %d would have to be mounted, and those in image files are only when asked to", kind, in.number),
		}
	case l.facts.Mounts != nil && !slices.Contains(l.facts.Mounts, kind):
		return nil, l.noBackup(p, fmt.Sprintf("the %s of partition %d cannot be mounted here", kind, in.number))
	}
	return &plan.Mounted{Number: in.number, Extent: in.extent, Filesystem: kind}, nil
}

// named returns the partitions of the plan that have a number, label or type.
func (l *layout) named(text string) []*part {
	wanted, isType := disk.TypeByName(text, l.facts.Architecture)
	var found []*part
	for _, p := range l.parts {
		number := strconv.Itoa(p.number) == text
		kind := isType && wanted.UUID != uuid.Nil && p.typeUUID() == wanted.UUID
		if !p.absent() && (number || p.name == text || kind) {
			found = append(found, p)
		}
	}
	return found
}

// plainAfter returns the kind of the file system that a partition will hold in clear,
// "" for none.
func plainAfter(p *part) string {
	switch {
	case p.old == nil && p.def.Encryption == nil:
		return formatOf(p.def)
	case p.old == nil || p.old.Content.LUKS != nil || !p.foreign() && p.work != workNone:
		return ""
	}
	return p.old.Content.Kind
}

// noBackup refuses a copy of a header that could not be made.
func (l *layout) noBackup(p *part, reason string) error {
	return &Refusal{
		Definition: p.def.File, Partition: p.number, Reason: "header_backup: " + reason,
		Remedy: `name a partition with a file system that can be mounted here, such as "esp:/root.header", or a path of this machine`,
	}
}
