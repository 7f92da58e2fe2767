package planner

import (
	"fmt"

	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

const (
	// keyBits is the size of new volume keys: two AES-256 keys, for XTS.
	keyBits = 512
)

// planCreate makes the action for a new partition. Hash trees have their own.
func planCreate(l *layout, p *part) (plan.Action, error) {
	if !p.created() || isVerityHash(p.def) {
		return nil, nil
	}
	c := plan.Create{
		Number: p.number, Extent: p.extent, Discard: l.opts.Discard,
		CopyBlocks: p.def.Filesystem.CopyBlocks, Why: whyCreate(p),
	}
	if format := formatOf(p.def); format != "" {
		c.Filesystem = &plan.Filesystem{
			Format: format, Label: p.def.Filesystem.Label,
			UUID: derive(p.uuid, []byte("file-system-uuid")), CopyFiles: l.copyFiles(p),
		}
		if c.Filesystem.Label == "" {
			c.Filesystem.Label = p.name
		}
		programs := host.ProgramsFor(format, len(c.Filesystem.CopyFiles) > 0)
		if err := l.checkPrograms(p, "a new "+format, programs); err != nil {
			return nil, err
		}
	}
	if p.def.Encryption != nil {
		if err := l.checkPrograms(p, "its volume key", secureKeyPrograms(p.def.Encryption)); err != nil {
			return nil, err
		}
		e := l.encryptionFor(p, l.luksSector(p.def.Encryption.SectorSize, newBlockSize(c)))
		e.Discards = l.opts.Discard
		c.Encryption = &e
	}
	return c, nil
}

// whyCreate says what asks for a new partition.
func whyCreate(p *part) string {
	t := typeName(p.def.Partition.Type)
	if p.former != 0 {
		return fmt.Sprintf("%s.toml lets the factory reset make its partition of type %s anew", p.def.Name, t)
	}
	if m := p.def.Partition.Match; m.Label != "" || m.UUID != nil || m.Filesystem != "" {
		return fmt.Sprintf("%s.toml wants a partition of type %s and none that it matches is there", p.def.Name, t)
	}
	return fmt.Sprintf("%s.toml wants a partition of type %s and none is there for it", p.def.Name, t)
}

// formatOf returns the file system that a new partition of the definition gets,
// "" for none.
func formatOf(d *definitions.Definition) string {
	f := d.Filesystem
	switch {
	case f.Format == formatEmpty || f.CopyBlocks != "" || isVerityHash(d):
		return ""
	case f.Format != "":
		return f.Format
	case d.Partition.Type.Designator() == "swap":
		return "swap"
	case len(f.CopyFiles) == 0 && d.Encryption == nil:
		return ""
	case isBoot(d.Partition.Type):
		return "vfat"
	}
	return "ext4"
}

// newBlockSize returns the block size of what a new partition holds, 0 where it
// is not known: blocks that are copied may be of any size.
func newBlockSize(c plan.Create) disk.Bytes {
	if c.Filesystem == nil || c.Filesystem.Format == "vfat" {
		return 0
	}
	return plan.LUKSSectorMax // mkfs is told so
}

// luksSector chooses the sector size of a LUKS2 volume: the definition's, or the
// largest that the file system can be mounted from. It is never below the disk's.
func (l *layout) luksSector(wanted, block disk.Bytes) disk.Bytes {
	if wanted == 0 {
		wanted = plan.LUKSSectorMax
		if block < plan.LUKSSectorMax {
			wanted = 512 // a file system cannot have blocks smaller than its device's
		}
	}
	return max(wanted, l.snap.SectorSize)
}

// isVerityHash reports whether the definition is for a hash tree.
func isVerityHash(d *definitions.Definition) bool {
	return d.Verity != nil && d.Verity.Role == definitions.VerityHash
}
