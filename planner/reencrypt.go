package planner

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/sealpart/sealpart/definitions"
	"github.com/sealpart/sealpart/disk"
	"github.com/sealpart/sealpart/internal/host"
	"github.com/sealpart/sealpart/planner/plan"
)

// Shift is how far data moves up to make room for a LUKS2 header where header_size
// does not say: cryptsetup's default for header and keyslots. A conversion with a
// shift needs twice as much behind the file system: once for good, once for the moved
// first bytes.
const Shift = 16 * disk.MiB

// planConversion makes the action for an existing partition whose data is to be
// rewritten, or whose conversion was begun.
func planConversion(l *layout, p *part) (plan.Action, error) {
	if p.old == nil || p.foreign() || p.def.Encryption == nil {
		return nil, nil
	}
	if p.refusal != nil {
		return nil, p.refusal
	}
	if c := p.old.Content; c.LUKS != nil && (p.work == workNone && !plan.InConversion(c) || p.work == workResume) {
		if note := noteKeys(p.def.Encryption, c); note != "" {
			l.note(p, note)
		}
	}
	switch p.work {
	case workConvert:
		return l.convert(p)
	case workResume:
		return l.resume(p), nil
	case workDetached:
		return l.resumeDetached(p), l.checkUnseen(p)
	case workRekey:
		return l.rekey(p)
	}
	return nil, nil
}

// convert turns a plain file system into a volume.
func (l *layout) convert(p *part) (plan.Action, error) {
	e, c, place := p.def.Encryption, p.old.Content, p.place()
	if err := checkSectorSize(p); err != nil {
		return nil, err
	}
	r := plan.Reencrypt{
		Number: p.number, Mode: plan.ModeEncrypt, Room: place.room, Extent: p.extent, Shift: headerSize(e),
		Filesystem: c.Kind, HeaderPath: place.header,
		Encryption: l.encryptionFor(p, conversionSectorSize(p)),
		Why:        fmt.Sprintf("%s.toml wants it encrypted and it holds a plain %s", p.def.Name, c.Kind),
	}
	l.carryOver(&r.Encryption, p)
	if e.FreeSpace == definitions.FreeDiscard {
		r.FreeSpace = e.FreeSpace
	}
	if err := l.checkTrailing(p, &r); err != nil {
		return nil, err
	}
	switch place.room {
	case plan.RoomBehind:
		r.DataSize = dataSize(c, r.Shift)
		l.noteGrowth(p)
		if to, shrinks := shrinkTarget(c, r.Shift, p.extent.Size); shrinks {
			r.ShrinkTo, r.DataSize = to, to
			if err := l.checkShrink(p); err != nil {
				return nil, err
			}
		}
	case plan.RoomGap:
		r.DataSize = (p.extent.Size - r.Shift).RoundDown(r.Encryption.SectorSize)
	case plan.RoomDetached:
		if err := l.checkUnseen(p); err != nil {
			return nil, err
		}
		r.Shift, r.Encryption.DataOffset = 0, 0
		r.DataSize = p.extent.Size.RoundDown(r.Encryption.SectorSize)
	default:
		return nil, l.noRoom(p)
	}
	return r, nil
}

// checkShrink refuses to make p's file system smaller where this machine lacks what
// that takes: programs for an ext, a kernel that mounts a btrfs.
func (l *layout) checkShrink(p *part) error {
	kind := p.old.Content.Kind
	if kind != "btrfs" {
		return l.checkPrograms(p, "making its "+kind+" smaller", host.ShrinkPrograms())
	}
	if l.opts.LeaveUnmounted {
		return refuse(*p.def, *p.old, "its btrfs gets smaller only where it is mounted, and those in image files are mounted only when asked to", remedyMount)
	}
	if l.facts.Mounts == nil || slices.Contains(l.facts.Mounts, kind) {
		return nil
	}
	return refuse(*p.def, *p.old, "its btrfs gets smaller only where it is mounted, and it cannot be mounted here",
		`run as root under a kernel with btrfs, or leave free space before the partition (header_room "gap") or behind it ("grow")`)
}

// remedyMount is for those who trust an image.
const remedyMount = "give --mount if you trust what is in the image: this machine's kernel then mounts it"

// noteGrowth says that a file system does not grow back into its volume yet, where a kernel
// that could do it is not to mount it.
func (l *layout) noteGrowth(p *part) {
	kind := p.old.Content.Kind
	if l.opts.LeaveUnmounted && slices.Contains([]string{"ext4", "xfs", "btrfs"}, kind) && slices.Contains(l.facts.Mounts, kind) {
		l.note(p, fmt.Sprintf("its %s grows into the volume at the first boot, and not here: file systems in image files are mounted only with --mount", kind))
	}
}

// resume goes on with a volume in conversion, or wipes what it left behind.
func (l *layout) resume(p *part) plan.Action {
	luks := p.old.Content.LUKS
	r := plan.Reencrypt{
		Number: p.number, Mode: plan.ModeEncrypt, Extent: p.old.Extent, Shift: luks.DataOffset, Resume: true,
		ExistingKey: p.def.Encryption.ExistingKey, Encryption: l.encryptionFor(p, luks.SectorSize),
		Why: "a conversion was begun there and not finished",
	}
	if luks.Reencryption != nil {
		r.Mode, r.DataSize = plan.Mode(luks.Reencryption.Mode), luks.Reencryption.Total
	}
	describeVolume(&r.Encryption, p.old.Content)
	return r
}

// resumeDetached goes on with a conversion whose header is in a file. How much it
// is about is told by the partition: the file does not know.
func (l *layout) resumeDetached(p *part) plan.Action {
	path := p.def.Encryption.DetachedHeader()
	header := l.opts.Headers[path]
	r := plan.Reencrypt{
		Number: p.number, Mode: plan.ModeEncrypt, Room: plan.RoomDetached, HeaderPath: path, Extent: p.old.Extent,
		DataSize: p.old.Size.RoundDown(header.LUKS.SectorSize), Resume: true,
		Encryption: l.encryptionFor(p, header.LUKS.SectorSize),
		Why:        fmt.Sprintf("a conversion with the header %s was begun there and not finished", path),
	}
	if header.LUKS.Reencryption != nil {
		r.Mode = plan.Mode(header.LUKS.Reencryption.Mode)
	}
	describeVolume(&r.Encryption, header)
	return r
}

// rekey gives a volume another volume key. It stays what it is to everybody else:
// its UUID, its label and its sectors are those it has.
func (l *layout) rekey(p *part) (plan.Action, error) {
	luks := p.old.Content.LUKS
	if rest := (p.extent.Size - luks.DataOffset) % luks.SectorSize; rest != 0 {
		// cryptsetup, and with it the boot, opens no volume in conversion there.
		return nil, refuse(*p.def, *p.old, fmt.Sprintf("its data is in sectors of %d bytes, and %d bytes of the partition are no whole one", luks.SectorSize, rest),
			fmt.Sprintf("make the partition %d bytes smaller, as it was when the volume was made, or %d larger", rest, luks.SectorSize-rest))
	}
	r := plan.Reencrypt{
		Number: p.number, Mode: plan.ModeRekey, Extent: p.extent, Shift: luks.DataOffset,
		DataSize:    (p.extent.Size - luks.DataOffset).RoundDown(luks.SectorSize),
		ExistingKey: p.def.Encryption.ExistingKey, Encryption: l.encryptionFor(p, luks.SectorSize),
		Why: fmt.Sprintf("%s.toml wants it under a new volume key, and no mark in its header says that it has one", p.def.Name),
	}
	describeVolume(&r.Encryption, p.old.Content)
	return r, nil
}

// describeVolume makes e describe the volume that is already there.
func describeVolume(e *plan.Encryption, c disk.Content) {
	e.DataOffset, e.SectorSize, e.Label = c.LUKS.DataOffset, c.LUKS.SectorSize, c.Label
	if u, err := uuid.Parse(c.UUID); err == nil {
		e.UUID = u
	}
}

// noRoom refuses a conversion whose header has no place, with what would help.
func (l *layout) noRoom(p *part) error {
	c, shift := p.old.Content, headerSize(p.def.Encryption)
	missing := neededForHeader(c, shift) - p.old.Size
	remedy := fmt.Sprintf("leave %s free before the partition (header_room \"gap\") or %s behind it (\"grow\"), or free space in an ext4 or btrfs (\"shrink\"); \"detached:PATH\" takes no room here",
		shift, missing)
	if l.table.Kind == disk.MBR {
		remedy = "on an MBR disk there is free space in an ext4 or btrfs (header_room \"shrink\") and \"detached:PATH\""
	}
	reason := fmt.Sprintf("there is no room for the LUKS2 header: %s more are needed behind its %s, and header_room = %q gives none",
		missing, c.Kind, p.def.Encryption.HeaderRoom)
	if c.Rigid != "" && slices.Contains(p.def.Encryption.HeaderRoom, definitions.RoomShrink) {
		reason += fmt.Sprintf("; its %s cannot be made smaller: %s", c.Kind, c.Rigid)
	}
	if beside := l.occupiedBeside(p); len(beside) > 0 {
		reason += DescribeOccupied(beside, l.snap.SectorSize)
		remedy = remedyOccupied + "; else " + remedy
	}
	return refuse(*p.def, *p.old, reason, remedy)
}

// occupiedBeside returns the space right before and right behind p that is not free.
func (l *layout) occupiedBeside(p *part) (beside []disk.Occupied) {
	for _, o := range l.occupied() {
		if o.End() == p.old.Offset || o.Offset == p.old.End() {
			beside = append(beside, o)
		}
	}
	return beside
}

// conversionSectorSize returns the encryption sector size: the definition's, or
// 4096 where the file system's blocks and the partition's size allow it. A sector
// larger than a block would make single blocks of the file system unwritable.
func conversionSectorSize(p *part) disk.Bytes {
	switch {
	case p.def.Encryption.SectorSize != 0:
		return p.def.Encryption.SectorSize
	case p.old.Content.BlockSize >= conversionBlock && p.extent.Size%conversionBlock == 0:
		return conversionBlock
	default:
		return 512
	}
}

// checkSectorSize refuses a sector size of the definition that would make a volume
// nobody can open or mount: the kernel maps whole sectors only, and mounts no file
// system with blocks smaller than its device's.
func checkSectorSize(p *part) error {
	size, block := p.def.Encryption.SectorSize, p.old.Content.BlockSize
	switch {
	case size == 0:
		return nil
	case p.extent.Size%size != 0:
		return refuse(*p.def, *p.old, fmt.Sprintf("its %d bytes are not whole encryption sectors of %d bytes", p.extent.Size, size), "leave sector_size out")
	case block > 0 && block < size:
		return refuse(*p.def, *p.old, fmt.Sprintf("the blocks of its %s have %d bytes, and it could not be mounted from encryption sectors of %d", p.old.Content.Kind, block, size), "leave sector_size out")
	}
	return nil
}
